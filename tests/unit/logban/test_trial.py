# ruff: noqa: E501 -- log lines are quoted as they are printed
"""`logban test`, as a user runs it."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logban import program as logban
from sidecarkit import command

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
GOOD_LOGIN = "Nov 22 08:59:16 imap-login: Info: Login: user=<erin>, method=PLAIN, rip=192.0.2.7, lip=10.0.0.1, TLS, session=<G>\n"
ERROR = "C0F1:error:0A000102:SSL routines:f:unsupported protocol:x.c:1:"


def run(capsys: pytest.CaptureFixture[str], *arguments: str, **environ: str) -> tuple[int, str, str]:
    status = command.main(logban.LOGBAN, ["test", *arguments], environ)
    out, err = capsys.readouterr()
    return status, out, err


def report(capsys: pytest.CaptureFixture[str], *arguments: str, **environ: str) -> dict[str, Any]:
    status, out, _ = run(capsys, "--json", *arguments, **environ)
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def unpacked(folder: Path, name: str) -> str:
    file = folder / f"{name}.log"
    file.write_bytes(gzip.decompress((CORPUS / f"{name}.log.gz").read_bytes()))
    return str(file)


def log(folder: Path, *addresses: str, times: bool = False) -> str:
    """Write a ZoneMTA log with one failed handshake of each address."""
    file = folder / "mta.log"
    file.write_text(
        "".join(
            f"{f'2026-11-22T08:{number // 60:02}:{number % 60:02}.000000000Z ' if times else ''}"
            f"ERR! {number:016} {address} {ERROR}\n"
            for number, address in enumerate(addresses)
        )
    )
    return str(file)


def test_the_report_has_the_documented_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, log(tmp_path, *["192.0.2.7"] * 6, "10.0.0.9"))
    seconds, speed = found.pop("seconds"), found.pop("lines_per_second")
    assert seconds >= 0 and speed > 0
    common = {"filter": "zonemta", "reasons": ["unsupported protocol"]}
    assert found == {
        "lines": 7,
        "connections": 7,
        "sources": [
            {
                "ip": "192.0.2.7",
                **common,
                "kinds": {"legacy_tls": 6},
                "first_line": 1,
                "last_line": 6,
                "ignored": None,
                "would_ban": True,
            },
            {
                "ip": "10.0.0.9",
                **common,
                "kinds": {"legacy_tls": 1},
                "first_line": 7,
                "last_line": 7,
                "ignored": "private",
                "would_ban": False,
            },
        ],
        "unattributed": {},
    }


def test_too_few_offences_are_listed_and_would_not_ban(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = report(capsys, log(tmp_path, *["192.0.2.7"] * 4))["sources"]
    assert not source["would_ban"]


def test_the_engines_times_are_read_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Eleven offences, but never five within ten minutes.
    spread = [address for minute in range(33) for address in ["192.0.2.7" if minute % 3 == 0 else "192.0.2.8"]]
    file = tmp_path / "slow.log"
    file.write_text(
        "".join(
            f"2026-11-22T{8 + minute // 60:02}:{minute % 60:02}:00.000000000Z ERR! {minute:016} {address} {ERROR}\n"
            for minute, address in enumerate(spread)
        )
    )
    verdicts = {each["ip"]: each["would_ban"] for each in report(capsys, "--docker-timestamps", str(file))["sources"]}
    assert verdicts == {"192.0.2.7": False, "192.0.2.8": True}


def test_settings_say_whom_to_ignore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = log(tmp_path, *["192.0.2.7", "192.0.2.8"] * 6)
    found = report(capsys, file, LOGBAN_IGNOREIP="192.0.2.7", LOGBAN_PROXIES="192.0.2.8/32, 127.0.0.1")
    assert [(each["ignored"], each["would_ban"]) for each in found["sources"]] == [
        ("ignoreip", False),
        ("proxy", False),
    ]


def test_a_source_with_a_good_login_is_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mixed.log"
    file.write_text(GOOD_LOGIN + Path(log(tmp_path, *["192.0.2.7"] * 9)).read_text())
    (source,) = report(capsys, str(file))["sources"]
    assert (source["ignored"], source["would_ban"]) == ("trusted", False)


def test_a_good_login_after_the_ban_would_never_have_been(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mixed.log"
    file.write_text(Path(log(tmp_path, *["192.0.2.7"] * 9)).read_text() + GOOD_LOGIN)
    (source,) = report(capsys, str(file))["sources"]
    assert (source["ignored"], source["would_ban"]) == (None, True)


@pytest.mark.parametrize("order", ["--filter haraka FILE", "FILE --filter haraka", "--filter haraka --json FILE"])
def test_a_filter_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str) -> None:
    file = log(tmp_path, *["192.0.2.7"] * 6)
    assert report(capsys, *(file if word == "FILE" else word for word in order.split()))["sources"] == []


def test_several_filters_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(report(capsys, "--filter", "haraka", "zonemta", log(tmp_path, "192.0.2.7"))["sources"]) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--filter", "nosuch", "-"], "no filter 'nosuch'"),
        (["/none/such.log"], "No such file"),
        ([], "which log?"),
    ],
)
def test_wrong_arguments_are_told_and_exit_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert complaint in err


def test_a_wrong_setting_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "-", LOGBAN_IGNOREIP="example.com", LOGBAN_TRUST="ever")
    assert status == 2
    assert "LOGBAN_IGNOREIP" in err and "LOGBAN_TRUST" in err


def test_people_get_a_table_and_the_reasons_for_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, unpacked(tmp_path, "traefik-3.6.7-info"))
    assert "not attributed: 11 x legacy_tls (traefik): Traefik logs no client address" in out


def test_standard_input_is_a_log_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert report(capsys, "-")["sources"][0]["ip"] == "192.0.2.7"


def test_nobody_on_loopback_would_be_banned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, unpacked(tmp_path, "zonemta-3.11.0-node25-starttls"))
    assert found["sources"]
    assert {each["ignored"] for each in found["sources"]} == {"loopback"}
    assert not any(each["would_ban"] for each in found["sources"])


def test_rubbish_is_read_without_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rubbish.log"
    line = f"ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\n".encode()
    file.write_bytes(
        b"\x00\x1b[31m\xff\xfe\r\n" + bytes(range(256)) * 64 + b"\n" + line.replace(b"ERR!", b"\x1b[31mERR!\x1b[0m")
    )
    (source,) = report(capsys, str(file))["sources"]
    assert source["ip"] == "192.0.2.7"


def test_memory_is_bounded_whatever_the_log(tmp_path: Path) -> None:
    """One line of 16 MiB, then 200,000 IPv6 sources, six times what is remembered: in a process of its own, which reports its peak."""
    file = tmp_path / "hostile.log"
    with file.open("w") as out:
        out.write("x" * (16 << 20) + f" ERR! lcdq2cve5cs80jq8 192.0.2.7 {ERROR}\n")
        for number in range(200_000):
            out.write(f"ERR! {number:016} 2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1 {ERROR}\n")
    script = (
        "import sys; from logban import program as m; from sidecarkit import command; "
        "status = command.main(m.LOGBAN, ['test', '--json', sys.argv[1]], {}); "
        "sys.stderr.write(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); sys.exit(status)"
    )
    path = ":".join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["lines"] == 200_001
    assert found["offences_of_sources_not_listed"] > 0
    assert int(done.stderr) < 120 * 1024, f"{int(done.stderr) // 1024} MiB at most"
