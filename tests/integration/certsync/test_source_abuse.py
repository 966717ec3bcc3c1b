"""A running certsync whose source is cut, emptied, scrambled, or written without end; its targets do not notice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.authority import Authority, acme_json, entry, pem
from lab.certsync import Certsync, write_as_traefik_does
from lab.wire import wait_for

NAME = "mail.example.com"


@pytest.fixture
def certsync(tmp_path: Path, authority: Authority) -> Iterator[Certsync]:
    (tmp_path / "out").mkdir()
    (tmp_path / "traefik").mkdir()
    document = (
        f"sources: {{traefik: {{acme_json: {tmp_path}/traefik/acme.json}}}}\n"
        f"targets:\n  mail: {{domains: [{NAME}], certificate: {tmp_path}/out/c.pem, key: {tmp_path}/out/k.pem}}\n"
        f"  one: {{domains: [{NAME}], combined: {tmp_path}/out/both.pem}}\n"
    )
    write_as_traefik_does(tmp_path / "traefik" / "acme.json", acme_json(le=[entry(authority.issue(NAME, days=30))]))
    with Certsync(tmp_path, document, env={"CERTSYNC_POLL": "1s"}) as agent:
        agent.wait_for("certificate_delivered", target="one")
        yield agent


def targets(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    paths = (folder / "out").iterdir()
    return {one.name: (one.read_bytes(), one.stat().st_ino, one.stat().st_mtime_ns) for one in paths}


def assert_good_write_is_delivered_within_two_seconds(folder: Path, authority: Authority, certsync: Certsync) -> None:
    renewed = authority.issue(NAME, days=60)
    write_as_traefik_does(folder / "traefik" / "acme.json", acme_json(le=[entry(renewed)]))
    wait_for(lambda: (folder / "out" / "c.pem").read_bytes() == renewed.chain_pem, "delivered", deadline=2.0)
    assert certsync.running


def test_a_store_cut_at_any_byte_changes_no_target(certsync: Certsync, tmp_path: Path, authority: Authority) -> None:
    """The cuts follow each other as fast as they are written, and every tenth is waited for until it was read.

    All hold a newer pair up to somewhere: whoever takes what can be read of a torn store would deliver it.
    """
    other = authority.issue("other.example.com")
    entries = [entry(authority.issue(NAME, days=50)), entry(other, chain=pem(other.leaf))]
    acme, whole, before = tmp_path / "traefik" / "acme.json", acme_json(le=entries), targets(tmp_path)
    for end in range(len(whole)):
        said = len(certsync.lines("source_not_read")) if end % 10 == 0 else 0
        write_as_traefik_does(acme, whole[:end])
        if end % 10 == 0:
            certsync.wait_for("source_not_read", count=said + 1)
        assert targets(tmp_path) == before, f"after a cut at byte {end}"
    assert_good_write_is_delivered_within_two_seconds(tmp_path, authority, certsync)


def test_noise_and_emptiness_change_no_target(certsync: Certsync, tmp_path: Path, authority: Authority) -> None:
    acme, before = tmp_path / "traefik" / "acme.json", targets(tmp_path)
    for content in (b"", b"{}", b"\0" * 9000, b'{"le": null}', os.urandom(20_000_000)):
        said = len(certsync.lines("source_not_read")) + len(certsync.lines("delivery_refused"))
        acme.write_bytes(content)
        wait_for(
            lambda: len(certsync.lines("source_not_read")) + len(certsync.lines("delivery_refused")) > said,  # noqa: B023
            "certsync has looked",
        )
    assert targets(tmp_path) == before
    assert_good_write_is_delivered_within_two_seconds(tmp_path, authority, certsync)


def test_a_writer_killed_in_the_middle_leaves_the_targets_and_is_recovered_from(
    certsync: Certsync, tmp_path: Path, authority: Authority
) -> None:
    acme, before = tmp_path / "traefik" / "acme.json", targets(tmp_path)
    program = (
        'import os,sys,time; f=os.open(sys.argv[1],513); os.write(f,b\'{"le": {"Certificates": [\'); time.sleep(60)'
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(acme)])
    wait_for(lambda: acme.stat().st_size < 100, "half a file is written")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    certsync.wait_for("source_not_read")
    assert targets(tmp_path) == before
    assert_good_write_is_delivered_within_two_seconds(tmp_path, authority, certsync)


def test_a_writer_that_is_never_quiet_does_no_harm(certsync: Certsync, tmp_path: Path, authority: Authority) -> None:
    acme = tmp_path / "traefik" / "acme.json"
    newest = acme_json(le=[entry(authority.issue(NAME, days=40)), *[entry(authority.issue("x.example.com"))] * 50])
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        write_as_traefik_does(acme, newest)
    assert len(certsync.lines("certificate_delivered", target="mail")) <= 3
    assert_good_write_is_delivered_within_two_seconds(tmp_path, authority, certsync)


def test_a_reader_at_full_speed_never_sees_a_bad_combined_file_nor_a_torn_one(
    certsync: Certsync, tmp_path: Path, authority: Authority
) -> None:
    """The combined form is always a pair; of two files each is always whole."""
    program = """
import sys, time
sys.path[:0] = sys.argv[2:]
from certsync import forms
from certsync.forms import Form
out, seen, bad, reads, stop = sys.argv[1], set(), 0, 0, time.monotonic() + 12
while time.monotonic() < stop:
    both = open(out + "/both.pem", "rb").read()
    reads += 1
    for name in ("c.pem", "k.pem"):
        part = open(out + "/" + name, "rb").read()
        bad += not part.endswith(b"-----\\n") or not part.startswith(b"-----BEGIN")
    if both not in seen:
        seen.add(both)
        pair = forms.read_back({Form.COMBINED: both})
        bad += pair is None or pair.flaw is not None
print(reads, len(seen), bad)
"""
    paths = certsync.env["PYTHONPATH"].split(":")
    reader = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "out"), *paths], stdout=subprocess.PIPE, text=True
    )
    acme, swaps = tmp_path / "traefik" / "acme.json", 0
    while reader.poll() is None:
        renewed = authority.issue(
            NAME, number=swaps % 5, kind="rsa2048" if swaps % 3 == 0 else "ec", days=61 + swaps / 10
        )
        write_as_traefik_does(acme, acme_json(le=[entry(renewed)]))
        swaps += 1
        wait_for(lambda: (tmp_path / "out" / "both.pem").read_bytes().endswith(renewed.chain_pem), "swapped")  # noqa: B023
    output, _ = reader.communicate()
    reads, different, bad = map(int, output.split())
    assert bad == 0
    assert different >= 20
    assert reads > 1000
