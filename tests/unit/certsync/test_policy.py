from datetime import timedelta

import pytest

from certsync import certificate
from certsync.certificate import Offer
from certsync.policy import Wanted, choose, objection_to_replacing
from certsync.refusal import Reason, Refusal
from lab.authority import NOW, Authority, Issued, pem

WANTED = Wanted(("mail.example.com",))


def offered(issued: Issued, resolver: str = "le", *, chain: bytes | None = None, key: bytes | None = None) -> Offer:
    return certificate.read(resolver, certificate.certificates(chain or issued.chain_pem), key or issued.key_pem())


def reason_of(offers: list[Offer], wanted: Wanted = WANTED) -> Reason:
    answer = choose(offers, wanted, None, NOW)
    assert isinstance(answer, Refusal)
    return answer.reason


def test_the_one_that_lasts_longest_is_chosen_over_all_resolvers(authority: Authority) -> None:
    short, long = (
        offered(authority.issue("mail.example.com", days=20), "a"),
        offered(authority.issue("mail.example.com"), "b"),
    )
    assert choose([short, long], WANTED, None, NOW) is long
    assert choose([long, short], WANTED, None, NOW) is long


def test_a_named_resolver_is_the_only_one_asked(authority: Authority) -> None:
    short, long = (
        offered(authority.issue("mail.example.com", days=20), "a"),
        offered(authority.issue("mail.example.com"), "b"),
    )
    assert choose([short, long], Wanted(("mail.example.com",), "a"), None, NOW) is short
    assert reason_of([long], Wanted(("mail.example.com",), "a")) is Reason.NO_CERTIFICATE


def test_an_expired_one_listed_first_does_not_win(authority: Authority) -> None:
    expired, valid = offered(authority.issue("mail.example.com", days=-1)), offered(authority.issue("mail.example.com"))
    assert choose([expired, valid], WANTED, None, NOW) is valid


def test_every_wanted_name_has_to_be_covered(authority: Authority) -> None:
    both = Wanted(("mail.example.com", "imap.example.com"))
    one = offered(authority.issue("mail.example.com"))
    answer = choose([one], both, None, NOW)
    assert isinstance(answer, Refusal)
    assert answer.reason is Reason.NAME_NOT_COVERED
    assert "imap.example.com" in answer.detail
    assert isinstance(choose([offered(authority.issue("*.example.com"))], both, None, NOW), Offer)


def test_each_bad_certificate_has_its_own_reason(authority: Authority) -> None:
    good, other = authority.issue("mail.example.com"), authority.issue("mail.example.com", number=5)
    cross = authority.issue("mail.example.com", kind="rsa2048")
    staging = Authority("(STAGING) X").issue("mail.example.com")
    weak = authority.issue("mail.example.com", kind="rsa1024")
    broken = pem(good.leaf, Authority().intermediate)
    assert reason_of([]) is Reason.NO_CERTIFICATE
    assert reason_of([offered(good, key=other.key_pem())]) is Reason.KEY_MISMATCH
    assert reason_of([offered(good, key=cross.key_pem())]) is Reason.KEY_MISMATCH
    assert reason_of([offered(authority.issue("mail.example.com", days=-1))]) is Reason.EXPIRED
    assert reason_of([offered(authority.issue("mail.example.com", starts=1))]) is Reason.NOT_YET_VALID
    assert reason_of([offered(staging)]) is Reason.STAGING
    assert reason_of([offered(weak)]) is Reason.WEAK_KEY
    assert reason_of([offered(good, chain=broken)]) is Reason.CHAIN_BROKEN


def test_of_several_refusals_the_closest_is_told(authority: Authority) -> None:
    uncovered, expired = (
        offered(authority.issue("x.example.com")),
        offered(authority.issue("mail.example.com", days=-1)),
    )
    assert reason_of([uncovered, expired]) is Reason.EXPIRED
    assert reason_of([expired, uncovered]) is Reason.EXPIRED


def test_a_chain_with_an_expired_intermediate_is_broken(authority: Authority) -> None:
    one = offered(authority.issue("mail.example.com", days=9000))
    answer = choose([one], WANTED, None, NOW + timedelta(days=5000))
    assert isinstance(answer, Refusal)
    assert answer.reason is Reason.CHAIN_BROKEN


def test_staging_is_allowed_when_asked_for_but_a_real_one_is_preferred(authority: Authority) -> None:
    relaxed = Wanted(("mail.example.com",), allow_staging=True)
    staging, real = (
        offered(Authority("(STAGING) X").issue("mail.example.com", days=90)),
        offered(authority.issue("mail.example.com")),
    )
    assert choose([staging], relaxed, None, NOW) is staging
    assert choose([staging, real], relaxed, None, NOW) is real


def test_of_two_that_last_equally_long_the_current_stays(authority: Authority) -> None:
    first, second = (offered(authority.issue("mail.example.com", number=n)) for n in (1, 2))
    assert choose([first, second], WANTED, first, NOW) is first
    assert choose([first, second], WANTED, second, NOW) is second
    assert choose([first, second], WANTED, None, NOW) is choose([second, first], WANTED, None, NOW)


def test_an_earlier_end_is_a_downgrade(authority: Authority) -> None:
    current, earlier = (
        offered(authority.issue("mail.example.com")),
        offered(authority.issue("mail.example.com", days=30)),
    )
    refusal = objection_to_replacing(current, earlier, WANTED, NOW)
    assert refusal is not None
    assert refusal.reason is Reason.DOWNGRADE
    assert objection_to_replacing(earlier, current, WANTED, NOW) is None


def test_anything_usable_replaces_what_serves_nobody(authority: Authority) -> None:
    chosen = offered(authority.issue("mail.example.com", days=5))
    other_key = authority.issue("x", number=5).key_pem()
    for useless in (
        offered(authority.issue("mail.example.com", days=-1)),
        offered(authority.issue("x.example.com")),
        offered(authority.issue("mail.example.com"), key=other_key),
        offered(Authority("(STAGING) X").issue("mail.example.com")),
    ):
        assert objection_to_replacing(useless, chosen, WANTED, NOW) is None


def test_a_certificate_for_tests_never_replaces_a_real_one(authority: Authority) -> None:
    relaxed = Wanted(("mail.example.com",), allow_staging=True)
    staging, real = (
        offered(Authority("(STAGING) X").issue("mail.example.com", days=90)),
        offered(authority.issue("mail.example.com")),
    )
    refusal = objection_to_replacing(real, staging, relaxed, NOW)
    assert refusal is not None
    assert refusal.reason is Reason.DOWNGRADE
    assert objection_to_replacing(staging, real, relaxed, NOW) is None


def test_a_renewal_that_lost_its_intermediate_is_refused(authority: Authority) -> None:
    current, bare = authority.issue("mail.example.com"), authority.issue("mail.example.com", days=90)
    refusal = objection_to_replacing(offered(current), offered(bare, chain=pem(bare.leaf)), WANTED, NOW)
    assert refusal is not None
    assert refusal.reason is Reason.CHAIN_BROKEN


@pytest.mark.parametrize("name", ["mail.example.com", "a.b.example.com", "example.com"])
def test_a_wildcard_covers_one_label(authority: Authority, name: str) -> None:
    covered = isinstance(choose([offered(authority.issue("*.example.com"))], Wanted((name,)), None, NOW), Offer)
    assert covered == (name == "mail.example.com")
