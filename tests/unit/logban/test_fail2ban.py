# ruff: noqa: E501 -- expressions are quoted as they stand
"""fail2ban both ways; where fail2ban is installed, its own program is asked."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from reading import read as read_log

from logban import fail2ban, rulebook, rules
from logban import program as logban
from logban.offence import STRONG_KINDS, Offence
from sidecarkit import command
from sidecarkit.errors import SettingsError

CORPUS = Path(__file__).parents[2] / "data" / "corpus"
needs_fail2ban = pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed")
# Servers that tell reason and address on one line, and id and address on others.
SINGLE_LINE = [
    "dovecot-2.3.19-default",
    "nginx-1.22.1-info",
    "nginx-1.22.1-info-mail",
    "traefik-3.0.4-debug",
    "traefik-3.6.7-debug",
    "traefik-3.6.7-debug-json",
    "zonemta-3.10.2-node20-starttls",
]
SEVERAL_LINES = ["haraka-3.1.1-node25-starttls", "postfix-3.7.11-submission"]


def exported() -> dict[str, str]:
    book = rulebook.load(None)
    return fail2ban.export(book.jails.values(), book.filters)


def without_colours(name: str) -> bytes:
    data = gzip.decompress((CORPUS / f"{name}.log.gz").read_bytes())
    return re.sub(rb"\x1b\[[0-9;]*m", b"", data)


def test_each_jail_becomes_a_filter_and_a_jail() -> None:
    assert sorted(exported()) == [
        "filter.d/mail-auth.conf",
        "filter.d/wildduck-legacytls.conf",
        "jail.d/mail-auth.conf",
        "jail.d/wildduck-legacytls.conf",
    ]


def test_a_jails_figures_are_its_own() -> None:
    text = exported()["jail.d/wildduck-legacytls.conf"]
    for line in ("enabled = true", "maxretry = 5", "findtime = 600", "bantime = 600", "bantime.maxtime = 604800"):
        assert f"\n{line}\n" in text


def test_what_means_something_to_fail2ban_is_escaped() -> None:
    own = rules.read(
        "own", "about: x\npatterns:\n  - {offence: '^<b>100% refused <ADDR>', kind: malformed}\n", "own.yml"
    )
    jail = replace(rulebook.load(None).jails["wildduck-legacytls"], filters=frozenset({"own"}))
    text = fail2ban.export([jail], {"own": own})["filter.d/wildduck-legacytls.conf"]
    assert "\nfailregex = ^\\x3cb>100%% refused <ADDR>\n" in text


def test_every_expression_is_one_that_python_compiles() -> None:
    for name, text in exported().items():
        if name.startswith("filter.d"):
            expressions = text.split("failregex = ")[1].split("\nignoreregex")[0].splitlines()
            assert expressions
            for line in expressions:
                plain = re.sub(r"</?F-[A-Z]+>", "", line.strip()).replace("<ADDR>", "ADDRESS").replace("%%", "%")
                assert re.compile(plain)


@needs_fail2ban
@pytest.mark.parametrize("name", SINGLE_LINE + SEVERAL_LINES)
def test_fail2ban_blames_whom_we_blame(tmp_path: Path, name: str) -> None:
    (tmp_path / "probes.conf").write_text(exported()["filter.d/wildduck-legacytls.conf"])
    data = without_colours(name)
    (tmp_path / "server.log").write_bytes(data)
    done = subprocess.run(
        ["fail2ban-regex", "-o", "ip", str(tmp_path / "server.log"), str(tmp_path / "probes.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = set(done.stdout.split())
    ours = {str(each.address) for each in read_log(data) if isinstance(each, Offence) and each.kind in STRONG_KINDS}
    assert ours
    assert theirs == ours, done.stderr


@needs_fail2ban
def test_fail2ban_loads_the_files(tmp_path: Path) -> None:
    shutil.copytree("/etc/fail2ban", tmp_path / "etc", symlinks=True)
    for file in (tmp_path / "etc" / "jail.d").iterdir():
        file.unlink()
    for name, text in exported().items():
        (tmp_path / "etc" / name).write_text(text.replace("/var/log/mail-containers/*.log", str(tmp_path / "x.log")))
    (tmp_path / "x.log").touch()
    done = subprocess.run(
        ["fail2ban-client", "-c", str(tmp_path / "etc"), "--test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


SSHD = r"""
[INCLUDES]
before = common.conf

[Definition]
_daemon = sshd
__pref = (?:error: )?
failregex = ^%(__prefix_line)s%(__pref)sFailed \S+ for <F-USER>\S+</F-USER> from <HOST> port \d+$
            ^%(__prefix_line)sReceived disconnect(?!ed) from <ADDR>
            ^%(__prefix_line)s<F-MLFID>session \d+</F-MLFID>: gave up
            Login of <HOST> refused
            <mdre-normal>
            ^%(__elsewhere)s from <HOST>
ignoreregex = ^ignored
"""


def test_a_filter_of_fail2ban_becomes_one_of_ours() -> None:
    imported = fail2ban.read("sshd.conf", SSHD)
    ours = rules.read("sshd", imported.text, "sshd.yml")
    assert len(ours.rules) == 3
    document = yaml.safe_load(imported.text)
    assert {entry["kind"] for entry in document["patterns"]} == {"auth_failure"}
    first = ours.rules[0].pattern
    line = b"Nov 22 08:54:53 mail sshd[17]: Failed password for root from 192.0.2.7 port 22"
    spans = first.regex.search(line)
    assert spans is not None and line[slice(*spans[first.addr])] == b"192.0.2.7"


def test_a_time_that_fail2ban_cuts_out_may_stand_in_front() -> None:
    imported = fail2ban.read("web.conf", "[Definition]\nfailregex = ^\\[error\\] login of <HOST> refused\n")
    (rule,) = rules.read("web", imported.text, "web.yml").rules
    assert rule.pattern.regex.matches(b"2026/11/22 08:36:20 [error] login of 192.0.2.7 refused")
    assert rule.pattern.regex.matches(b"[error] login of 192.0.2.7 refused")


def test_a_line_that_is_no_failure_only_tells_whose_connection_it_is() -> None:
    text = "[Definition]\nfailregex = ^<F-NOFAIL><F-MLFID>\\d+</F-MLFID> connect from</F-NOFAIL> <HOST>\n            ^<F-MLFID>\\d+</F-MLFID> refused by <F-USER>a|b</F-USER>\n"
    roles = [rule.role for rule in rules.read("x", fail2ban.read("x.conf", text).text, "x.yml").rules]
    assert roles == ["opens", "offence"]


def test_what_fail2bans_common_file_defines_is_known() -> None:
    text = "[Definition]\nfailregex = ^%(__pam_auth)s%(__pid_re)s: authentication failure; rhost=<HOST>$\n"

    (rule,) = rules.read("pam", fail2ban.read("pam.conf", text).text, "pam.yml").rules

    assert rule.pattern.regex.matches(b"pam_unix[12]: authentication failure; rhost=192.0.2.7")


def test_what_cannot_be_taken_over_is_said() -> None:
    told = "\n".join(fail2ban.read("sshd.conf", SSHD).left_out)
    for part in ("ignoreregex: ", "(?!ed)", "<mdre-normal>", "%(__elsewhere)s"):
        assert part in told


@pytest.mark.parametrize(
    "text", ["", "[Definition]\nfailregex =\n", "nonsense", "[Definition]\nfailregex = ^(?=x)<HOST>"]
)
def test_a_file_with_nothing_to_take_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        fail2ban.read("x.conf", text)


@needs_fail2ban
@pytest.mark.parametrize("file", sorted(Path("/etc/fail2ban/filter.d").glob("*.conf")), ids=lambda file: file.name)
def test_fail2bans_own_filters_are_read_or_refused_with_reasons(file: Path) -> None:
    try:
        imported = fail2ban.read(file.name, file.read_text())
    except SettingsError as refused:
        complaints = refused.complaints
    else:
        complaints = imported.left_out
        assert rules.read("own", imported.text, file.name).rules
    assert all(complaint.strip() for complaint in complaints)


def test_the_commands_write_and_read_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(logban.LOGBAN, ["export", "fail2ban", str(tmp_path)], {}) == 0
    assert (tmp_path / "filter.d" / "wildduck-legacytls.conf").exists()
    capsys.readouterr()
    (tmp_path / "sshd.conf").write_text(SSHD)
    assert command.main(logban.LOGBAN, ["import", "fail2ban", str(tmp_path / "sshd.conf")], {}) == 0
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["patterns"]
    assert "not taken over: ignoreregex" in err


def test_a_missing_file_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(logban.LOGBAN, ["import", "fail2ban", str(tmp_path / "none.conf")], {}) == 2
