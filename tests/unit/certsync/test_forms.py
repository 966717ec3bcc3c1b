import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from certsync import certificate, forms
from certsync.certificate import Offer
from certsync.forms import Form
from lab.authority import Authority, Issued, pem


def pair_of(issued: Issued) -> Offer:
    return certificate.read("", certificate.certificates(issued.chain_pem), issued.key_pem())


@pytest.fixture(params=["ec", "rsa2048"])
def issued(request: pytest.FixtureRequest, authority: Authority) -> Issued:
    return authority.issue("mail.example.com", kind=request.param)


@pytest.mark.parametrize("password", [None, b"secret"])
@pytest.mark.parametrize("form", list(Form))
def test_every_form_holds_what_was_rendered_and_nothing_else(
    issued: Issued, authority: Authority, form: Form, password: bytes | None
) -> None:
    pair, other = pair_of(issued), pair_of(authority.issue("mail.example.com", number=3))
    content = forms.render(form, pair, password)
    assert forms.holds(form, content, pair, password)
    if form is not Form.CHAIN:  # both have the same issuer
        assert not forms.holds(form, content, other, password)
    for damaged in (b"", content[:-40], content[: len(content) // 2], b"x" * 100):
        assert not forms.holds(form, damaged, pair, password)


def test_certificates_are_what_the_ca_gave_and_the_key_is_pkcs8(issued: Issued) -> None:
    pair = pair_of(issued)
    assert forms.render(Form.CERTIFICATE, pair) == issued.chain_pem
    assert forms.render(Form.LEAF, pair) == pem(issued.leaf)
    assert forms.render(Form.CHAIN, pair) == pem(issued.intermediate)
    assert forms.render(Form.KEY, pair) == issued.key_pem(PrivateFormat.PKCS8)
    assert forms.render(Form.COMBINED, pair) == issued.key_pem(PrivateFormat.PKCS8) + issued.chain_pem


def test_a_key_that_another_writer_encoded_otherwise_is_the_same_key(issued: Issued) -> None:
    assert forms.holds(Form.KEY, issued.key_pem(PrivateFormat.TraditionalOpenSSL), pair_of(issued))


@pytest.mark.parametrize(
    "shape", [(Form.CERTIFICATE, Form.KEY), (Form.LEAF, Form.CHAIN, Form.KEY), (Form.COMBINED,), (Form.PKCS12,)]
)
def test_a_target_is_read_back_from_any_set_of_files(issued: Issued, shape: tuple[Form, ...]) -> None:
    pair = pair_of(issued)
    files = {form: forms.render(form, pair, b"pw") for form in shape}
    found = forms.read_back(files, b"pw")
    assert found is not None
    assert found.identity == pair.identity
    assert found.flaw is None


def test_files_that_make_no_pair_read_back_as_none(issued: Issued) -> None:
    pair = pair_of(issued)
    assert forms.read_back({}) is None
    assert forms.read_back({Form.CERTIFICATE: issued.chain_pem}) is None
    assert forms.read_back({Form.CERTIFICATE: b"junk", Form.KEY: b"junk"}) is None
    assert forms.read_back({Form.PKCS12: forms.render(Form.PKCS12, pair, b"right")}, b"wrong") is None


def test_a_pair_whose_halves_do_not_belong_together_reads_back_as_flawed(issued: Issued, authority: Authority) -> None:
    found = forms.read_back({Form.CERTIFICATE: issued.chain_pem, Form.KEY: authority.issue("x", number=4).key_pem()})
    assert found is not None
    assert found.flaw is not None


def test_openssl_reads_the_pkcs12_file(issued: Issued, tmp_path: Path) -> None:
    (tmp_path / "it.p12").write_bytes(forms.render(Form.PKCS12, pair_of(issued), b"secret"))
    (tmp_path / "password").write_bytes(b"secret")
    command = ["openssl", "pkcs12", "-in", str(tmp_path / "it.p12"), "-passin", f"file:{tmp_path}/password", "-nodes"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed.count(b"BEGIN CERTIFICATE") == 2
    assert printed.count(b"BEGIN PRIVATE KEY") == 1
