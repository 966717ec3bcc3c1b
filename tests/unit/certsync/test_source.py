import os
import threading
from pathlib import Path

import pytest

from certsync import source
from certsync.refusal import Reason, RefusalError
from certsync.source import AcmeJson, PemPair, Source
from lab.authority import Authority, acme_json, entry

NAMES = ("mail.example.com",)


def reason_of(origin: Source) -> Reason:
    with pytest.raises(RefusalError) as caught:
        source.read(origin, NAMES)
    return caught.value.refusal.reason


def test_acme_json_is_read_from_its_file(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "acme.json"
    path.write_text(acme_json(a=[entry(authority.issue(*NAMES))], b=[entry(authority.issue(*NAMES))]))
    assert {one.resolver for one in source.read(AcmeJson("t", path), NAMES).offers} == {"a", "b"}
    assert {one.resolver for one in source.read(AcmeJson("t", path, "b"), NAMES).offers} == {"b"}


def test_each_state_of_the_file_has_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    assert reason_of(AcmeJson("t", path)) is Reason.SOURCE_MISSING
    path.touch()
    assert reason_of(AcmeJson("t", path)) is Reason.SOURCE_TORN
    path.write_bytes(os.urandom(20_000_000))
    assert reason_of(AcmeJson("t", path)) is Reason.SOURCE_TORN
    path.unlink()
    path.mkdir()
    assert reason_of(AcmeJson("t", path)) is Reason.SOURCE_UNREADABLE
    assert reason_of(AcmeJson("t", path / "beyond" / "acme.json")) is Reason.SOURCE_MISSING


def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "acme.json"
    os.mkfifo(path)
    ended = threading.Event()

    def read() -> None:
        assert reason_of(AcmeJson("t", path)) is Reason.SOURCE_UNREADABLE
        source.digest(AcmeJson("t", path))
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    assert ended.wait(10)


def test_a_pem_pair_is_read_from_two_files_or_one(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue(*NAMES)
    (tmp_path / "c").write_bytes(issued.chain_pem)
    (tmp_path / "k").write_bytes(issued.key_pem())
    (tmp_path / "both").write_bytes(issued.key_pem() + issued.chain_pem)
    for pair in (PemPair("f", tmp_path / "c", tmp_path / "k"), PemPair("f", tmp_path / "both", tmp_path / "both")):
        (offer,) = source.read(pair, NAMES).offers
        assert offer.flaw is None
        assert offer.certificate.serial == issued.serial


def test_a_pem_pair_cut_anywhere_is_torn_or_flawed_never_a_shorter_chain(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue(*NAMES)
    pair = PemPair("f", tmp_path / "c", tmp_path / "k")
    (tmp_path / "k").write_bytes(issued.key_pem())
    first_block = issued.chain_pem.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----")
    whole = len(issued.chain_pem) - 1  # the last line end may be missing
    for end in range(0, whole, 7):
        (tmp_path / "c").write_bytes(issued.chain_pem[:end])
        if first_block <= end <= first_block + len("\n-----BEGIN CERTIFICATE-----"):
            continue  # indistinguishable from a leaf without its chain; the policy compares it with what is there
        assert reason_of(pair) is Reason.SOURCE_TORN, end


def test_the_digest_changes_with_the_content_and_with_its_absence(tmp_path: Path) -> None:
    origin = AcmeJson("t", tmp_path / "acme.json")
    seen = [source.digest(origin)]
    for content in ("a", "b"):
        origin.path.write_text(content)
        seen.append(source.digest(origin))
    origin.path.write_text("a")
    assert len(set(seen)) == 3
    assert source.digest(origin) == seen[1]


def test_a_source_that_is_a_mount_of_its_own_is_warned_of(tmp_path: Path) -> None:
    origin = AcmeJson("t", tmp_path / "acme.json")
    assert source.warning(origin, frozenset({"/", str(tmp_path)})) is None
    assert "mount its directory" in str(source.warning(origin, frozenset({"/", str(origin.path)})))
