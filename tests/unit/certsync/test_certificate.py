import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certsync import certificate
from certsync import key as keys
from certsync.refusal import Reason, RefusalError
from lab.authority import NOW, Authority, pem


def read(chain: bytes, key: bytes) -> certificate.Offer:
    return certificate.read("", certificate.certificates(chain), key)


def test_any_order_becomes_leaf_first_without_root_and_strangers(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    stranger = Authority("Stranger")
    pieces = (issued.leaf, issued.intermediate, issued.root, stranger.intermediate)
    for order in itertools.permutations(pieces):
        offer = read(pem(*order), issued.key_pem())
        assert offer.flaw is None
        assert offer.certificate.chain == tuple(certificate.certificates(issued.chain_pem))


def test_a_stranger_with_the_name_of_the_issuer_does_not_become_one(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    impostor = Authority()  # the same names, other keys
    offer = read(pem(issued.leaf, impostor.intermediate), issued.key_pem())
    assert offer.flaw is not None
    assert offer.flaw.reason is Reason.CHAIN_BROKEN


def test_a_self_signed_certificate_is_whole_by_itself(authority: Authority) -> None:
    offer = certificate.read(
        "",
        certificate.certificates(pem(authority.root)),
        authority.issue(private=authority.root_key).key_pem(),
    )
    assert offer.flaw is None
    assert len(offer.certificate.chain) == 1


@pytest.mark.parametrize("kind", ["rsa1024", "ec192"])
def test_a_short_key_is_weak(authority: Authority, kind: str) -> None:
    issued = authority.issue("mail.example.com", kind=kind)
    offer = read(issued.chain_pem, issued.key_pem())
    assert offer.flaw is not None
    assert offer.flaw.reason is Reason.WEAK_KEY


@pytest.mark.parametrize("name", ["(STAGING) Let's Encrypt", "Fake LE Intermediate X1 for", "Pebble"])
def test_an_authority_for_tests_is_recognised(name: str) -> None:
    issued = Authority(name).issue("mail.example.com")
    assert read(issued.chain_pem, issued.key_pem()).certificate.staging


def test_a_real_authority_is_not_taken_for_a_test(authority: Authority) -> None:
    issued = authority.issue("staging.example.com")
    assert not read(issued.chain_pem, issued.key_pem()).certificate.staging


@pytest.mark.parametrize("end", [30, -30, -2000])
def test_a_block_that_is_cut_is_an_error_not_a_shorter_chain(authority: Authority, end: int) -> None:
    whole = authority.issue("mail.example.com").chain_pem
    with pytest.raises(ValueError, match="certificate block"):
        certificate.certificates(whole[:end] if end > -2000 else whole.replace(b"M", b"*", 5))


def test_text_between_the_blocks_is_passed_over(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    noisy = (
        b"subject=CN = x\n"
        + pem(issued.leaf)
        + b"\nissuer=CN = y\r\n"
        + pem(issued.intermediate).replace(b"\n", b"\r\n")
    )
    assert len(certificate.certificates(noisy)) == 2


def test_garbage_is_refused_with_a_reason(authority: Authority) -> None:
    with pytest.raises(RefusalError) as caught:
        certificate.read("", [b"\x30\x03garbage"], b"")
    assert caught.value.refusal.reason is Reason.NO_CERTIFICATE


def test_days_left_turn_negative_after_the_end(authority: Authority) -> None:
    issued = authority.issue("mail.example.com", days=-0.5)
    assert read(issued.chain_pem, issued.key_pem()).certificate.days_left(NOW) == pytest.approx(-0.5)


@pytest.mark.parametrize("kind", ["ec", "ec384", "rsa2048"])
def test_a_good_key_proves_itself(authority: Authority, kind: str) -> None:
    issued = authority.issue("mail.example.com", kind=kind)
    keys.prove(read(issued.chain_pem, issued.key_pem()).key)


def test_a_key_whose_secret_does_not_fit_its_public_half_is_not_delivered(authority: Authority) -> None:
    issued = authority.issue("mail.example.com", kind="rsa2048")
    numbers = issued.key.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1 + 2, numbers.dmq1 + 2, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    offer = read(issued.chain_pem, wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert offer.flaw is None  # the public halves agree, and scanning looks no further
    with pytest.raises(RefusalError) as caught:
        keys.prove(offer.key)
    assert caught.value.refusal.reason is Reason.KEY_MISMATCH
