"""Which passwords are taken, and how a given one is compared."""

import pytest

from stats import password
from stats.password import Hashed, Plain

GOOD = "correct horse battery"


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "elevenchars",
        "changeme-changeme",
        "Password123456",
        "admin-admin-2026",
        "ChangeMe!!!!",
        "aaaaaaaaaaaaaa",
        "123456789012",
        "wildduck-stats",
    ],
)
def test_a_short_or_default_password_is_not_taken(weak: str) -> None:
    with pytest.raises(ValueError, match=r"characters|default"):
        password.chosen(weak)


@pytest.mark.parametrize("good", [GOOD, "f3a9-77c1-0b2d-55e8", "password-of-the-tusker", "ü" * 3 + "grüße aus Ulm"])
def test_a_password_of_its_own_is_taken(good: str) -> None:
    assert password.chosen(good) == good


def test_no_password_takes_long_to_be_judged() -> None:
    with pytest.raises(ValueError, match="default"):
        password.chosen("changeme" * 8)
    assert password.chosen("changeme" * 7 + "kestrel!")


@pytest.mark.parametrize("verifier", [Plain(GOOD), Hashed(password.make_hash(GOOD))], ids=["plain", "hashed"])
def test_only_the_right_password_is_right(verifier: password.Verifier) -> None:
    answers = [verifier.is_right(given) for given in (GOOD, GOOD, GOOD + " ", "", "\udcff", GOOD)]
    assert answers == [True, True, False, False, False, True]


def test_a_hash_holds_nothing_of_the_password_and_differs_each_time() -> None:
    made = {password.make_hash(GOOD) for _ in range(2)}
    assert len(made) == 2
    assert not any("horse" in one for one in made)
    assert all(password.hashed(one) == one for one in made)


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD,
        "scrypt:16384:8:1$00$00",
        password.make_hash(GOOD).replace("16384", "1000"),  # no power of two
        password.make_hash(GOOD).replace("16384", "4194304"),  # 4 GiB for one guess
        password.make_hash(GOOD)[:-1],
    ],
)
def test_what_is_no_hash_of_ours_is_not_taken(wrong: str) -> None:
    with pytest.raises(ValueError, match="stats hash"):
        password.hashed(wrong)
