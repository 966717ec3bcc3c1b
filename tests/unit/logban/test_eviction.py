from hypothesis import given
from hypothesis import strategies as st

from logban.eviction import Eviction

KEYS = st.binary(min_size=1, max_size=1)
SECONDS = st.integers(1, 30)


class CountedListing:
    def __init__(self, elements: dict[bytes, int]) -> None:
        self.elements = elements
        self.times = 0

    def __call__(self) -> list[tuple[bytes, int]]:
        self.times += 1
        return list(self.elements.items())


@given(st.dictionaries(KEYS, SECONDS, min_size=1), st.lists(st.tuples(KEYS, SECONDS)), st.integers(1, 5))
def test_the_victim_is_always_one_that_expires_first(
    elements: dict[bytes, int], later: list[tuple[bytes, int]], keep: int
) -> None:
    eviction = Eviction(keep)
    listing = CountedListing(elements)
    for key, seconds in later:
        victim = eviction.victim(listing, now=0.0)
        assert victim is not None
        assert elements[victim] == min(elements.values())
        del elements[victim]
        elements[key] = seconds
        eviction.note(key, float(seconds))


def test_one_listing_serves_many_evictions() -> None:
    listing = CountedListing({bytes([i]): 100 + i for i in range(50)})
    eviction = Eviction(keep=10)

    victims = [eviction.victim(listing, now=0.0) for _ in range(20)]

    assert victims[:10] == [bytes([i]) for i in range(10)]
    assert listing.times == 2


def test_a_ban_made_since_the_listing_is_not_overlooked() -> None:
    eviction = Eviction()
    listing = CountedListing({b"a": 10, b"b": 20})
    assert eviction.victim(listing, now=0.0) == b"a"

    eviction.note(b"c", 15.0)

    assert eviction.victim(listing, now=0.0) == b"c"


def test_a_ban_that_was_prolonged_is_no_longer_first() -> None:
    eviction = Eviction()
    listing = CountedListing({b"a": 10, b"b": 20, b"c": 30})
    assert eviction.victim(listing, now=0.0) == b"a"

    eviction.note(b"b", 99.0)

    assert eviction.victim(listing, now=0.0) == b"c"


def test_an_empty_set_has_no_victim() -> None:
    assert Eviction().victim(CountedListing({}), now=0.0) is None
