import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from certsync import acme
from certsync.refusal import Reason, RefusalError
from lab.authority import ACCOUNT, Authority, Issued, acme_json, acme_json_v1, entry, key

NAMES = ("mail.example.com",)


def refusal_of(text: str) -> Reason:
    with pytest.raises(RefusalError) as caught:
        acme.read(text, NAMES)
    return caught.value.refusal.reason


def offers_or_refusal(text: str) -> object:
    try:
        return acme.read(text, NAMES).offers
    except RefusalError as error:
        return error.refusal.reason


@pytest.mark.parametrize("kind", ["ec", "ec384", "rsa2048"])
@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_every_key_encoding_of_every_traefik_is_read(authority: Authority, kind: str, form: PrivateFormat) -> None:
    issued = authority.issue("mail.example.com", kind=kind)
    (offer,) = acme.read(acme_json(le=[entry(issued, form)]), NAMES).offers
    assert offer.flaw is None
    assert offer.certificate.serial == issued.serial
    assert offer.resolver == "le"


def test_the_file_of_traefik_v1_is_read(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    (offer,) = acme.read(acme_json_v1(issued), NAMES).offers
    assert (offer.certificate.serial, offer.resolver, offer.flaw) == (issued.serial, "", None)


def test_a_resolver_may_be_called_account(authority: Authority) -> None:
    (offer,) = acme.read(acme_json(account=[entry(authority.issue("mail.example.com"))]), NAMES).offers
    assert offer.resolver == "account"


def test_keys_in_any_case_are_understood(authority: Authority) -> None:
    text = acme_json(le=[entry(authority.issue("mail.example.com"))])
    shouted = (
        text.replace('"certificate"', '"CERTIFICATE"')
        .replace('"key"', '"Key"')
        .replace('"Certificates"', '"certificates"')
    )
    assert len(acme.read(shouted, NAMES).offers) == 1


def test_names_are_taken_from_the_certificate_not_from_what_was_asked_for(authority: Authority) -> None:
    text = acme_json(
        le=[
            entry(authority.issue("mail.example.com", "www.example.com"), main="www.example.com"),
            entry(authority.issue("other.example.com"), main="mail.example.com"),
        ]
    )
    (offer,) = acme.read(text, NAMES).offers
    assert offer.certificate.names == ("mail.example.com", "www.example.com")


def test_a_wildcard_is_found_for_the_name_it_may_cover(authority: Authority) -> None:
    (offer,) = acme.read(acme_json(le=[entry(authority.issue("*.example.com"))]), NAMES).offers
    assert offer.certificate.covers("mail.example.com")
    assert not offer.certificate.covers("a.mail.example.com")
    assert not offer.certificate.covers("example.com")


def test_a_name_in_capitals_is_found(authority: Authority) -> None:
    assert len(acme.read(acme_json(le=[entry(authority.issue("MAIL.Example.com"))]), NAMES).offers) == 1


@pytest.mark.parametrize(
    "text", ["{}", '{"le": null}', '{"le": {"Account": null, "Certificates": null}}', acme_json(le=None, b=[])]
)
def test_a_store_without_certificates_offers_none(text: str) -> None:
    assert acme.read(text, NAMES).offers == ()


@pytest.mark.parametrize(
    "text", ["", "\n", "\0\0\0\0", "[]", "null", "7", '"le"', "[" * 200_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_what_is_no_acme_json_is_torn(text: str) -> None:
    assert refusal_of(text) is Reason.SOURCE_TORN


@pytest.mark.parametrize("make", [acme_json_v1, lambda one: acme_json(le=[entry(one)], other=None)])
def test_a_file_cut_at_any_byte_is_torn(authority: Authority, make: Callable[[Issued], str]) -> None:
    whole = make(authority.issue("mail.example.com"))
    assert {refusal_of(whole[:end]) for end in range(len(whole))} == {Reason.SOURCE_TORN}


@given(st.text(max_size=400))
def test_noise_is_never_a_certificate(text: str) -> None:
    assert offers_or_refusal(text) in ((), Reason.SOURCE_TORN)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["le", "Account", "Certificates", "certificate", "Domain", "main", "key"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(json_values)
def test_json_of_any_shape_is_read_or_refused(value: Any) -> None:
    assert offers_or_refusal(json.dumps(value)) in ((), Reason.SOURCE_TORN)


def test_one_damaged_entry_does_not_hide_the_others(authority: Authority) -> None:
    good = entry(authority.issue("mail.example.com"))
    bad = [
        good | {"certificate": "!!!"},
        good | {"key": None},
        good | {"certificate": good["certificate"][:400]},
        {"domain": None},
        good | {"certificate": ""},
    ]
    contents = acme.read(acme_json(le=[*bad, good]), NAMES)
    assert len(contents.offers) == 1
    assert len(contents.damaged) == 5
    assert contents.entries == 6


def test_another_entrys_key_is_offered_as_a_mismatch(authority: Authority) -> None:
    for other in (key("ec", 7), key("rsa2048")):
        mine, theirs = authority.issue("mail.example.com"), authority.issue("x.example.com", private=other)
        (offer,) = acme.read(acme_json(le=[entry(mine, key_pem=theirs.key_pem())]), NAMES).offers
        assert offer.flaw is not None
        assert offer.flaw.reason is Reason.KEY_MISMATCH


def test_an_ec_key_behind_its_parameters_is_read(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    (offer,) = acme.read(acme_json(le=[entry(issued, key_pem=parameters + issued.key_pem())]), NAMES).offers
    assert offer.flaw is None


def test_a_key_encoded_anew_is_the_same_delivery(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    (before,) = acme.read(acme_json(le=[entry(issued, PrivateFormat.TraditionalOpenSSL)]), NAMES).offers
    (after,) = acme.read(acme_json(le=[entry(issued, PrivateFormat.PKCS8)]), NAMES).offers
    assert before == after


def test_no_message_and_no_representation_holds_a_key(authority: Authority) -> None:
    issued = authority.issue("mail.example.com")
    secret = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    contents = acme.read(acme_json(le=[entry(issued)]), NAMES)
    with pytest.raises(RefusalError) as caught:
        acme.read(acme_json(le=[entry(issued)])[:-3], NAMES)
    shown = repr(contents) + repr(caught.value) + str(caught.value)
    assert repr(secret[40:60])[2:-1] not in shown
    assert ACCOUNT["PrivateKey"] not in shown


def test_ten_thousand_certificates_are_searched_in_under_a_second(authority: Authority) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    filler = [entry(authority.issue(f"host{number}.example.net", private=private)) for number in range(100)]
    wanted = entry(authority.issue("mail.example.com"))
    entries = filler * 100
    entries.insert(random.Random(7).randrange(10_000), wanted)
    text = acme_json(le=entries)
    started = time.process_time()
    contents = acme.read(text, NAMES)
    assert time.process_time() - started < 1.0
    assert contents.entries == 10_001
    assert len(contents.offers) == 1
