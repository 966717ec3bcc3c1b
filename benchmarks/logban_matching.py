# ruff: noqa: E501 -- log lines are quoted as they are printed
"""logban's matching beside fail2ban's: lines per second on the same million mixed lines, and cost by pattern count.

    python -m benchmarks.logban_matching [--lines 1000000] [--runs 3]

The log is generated (seed 1): Haraka 30 %, WildDuck 25 %, ZoneMTA 17 %, Rspamd 13 %, MongoDB 8 %, Traefik 7 %; one line
in a hundred is a failed handshake. fail2ban-regex takes part where it is installed, with patterns that find the same
single-line failures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from logban import blocks, rules
from logban.recognition import Log, Recogniser

ROOT = Path(__file__).resolve().parent.parent
REASONS = ("0A000102", "unsupported protocol"), ("0A00018C", "version too low"), ("0A0000FC", "unknown protocol")
FAIL2BAN_PATTERNS = (
    r"^ERR! [a-z0-9]{16} <ADDR> [0-9A-F]+:error:[0-9A-F]{8}:SSL routines:[^:]*:(?:unsupported protocol|version too low|unknown protocol):",
    r"^\[INFO\] \[\S+\] \[core\] client connection error: Error: [0-9A-F]+:error:[0-9A-F]{8}:SSL routines:[^:]*:(?:unsupported protocol|version too low|unknown protocol):.* ip=<ADDR>$",
    r"^\S+ DBG log/log\.go:\d+ > http: TLS handshake error from <ADDR>:\d+: tls: client offered only unsupported versions: \[[0-9a-f ]*\]$",
)


class Generator:
    """Lines as the six servers print them, from one seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._makers = (self._haraka, self._wildduck, self._zonemta, self._rspamd, self._mongo, self._traefik)

    def write(self, file: Path, lines: int) -> None:
        """Write at least *lines* lines; a session's lines stay together."""
        written = 0
        with file.open("w") as out:
            while written < lines:
                (maker,) = self._random.choices(self._makers, (30, 25, 17, 13, 8, 7))
                session = maker()[: lines - written]
                out.writelines(f"{line}\n" for line in session)
                written += len(session)

    def _address(self) -> str:
        numbers = self._random.randrange
        if numbers(10) == 0:
            return f"2001:db8:{numbers(1, 40):x}::{numbers(1, 65536):x}"
        return f"203.0.{numbers(1, 5)}.{numbers(1, 255)}"

    def _id(self) -> str:
        return "".join(self._random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=16))

    def _error(self) -> str:
        code, reason = self._random.choice(REASONS)
        return (
            f"C0D1AC35EE7F0000:error:{code}:SSL routines:tls_early_post_process_client_hello:{reason}:"
            "../deps/openssl/openssl/ssl/statem/statem_srvr.c:1765:"
        )

    def _fails(self) -> bool:
        return self._random.random() < 0.07

    def _haraka(self) -> list[str]:
        uuid = "-".join(f"{self._random.getrandbits(4 * digits):0{digits}X}" for digits in (8, 4, 4, 4, 12))
        ip, port = self._address(), self._random.randrange(1024, 65536)
        start = f"[NOTICE] [{uuid}] [core] connect ip={ip} port={port} local_ip=172.18.0.5 local_port=25"
        end = (
            f"[NOTICE] [{uuid}] [core] disconnect ip={ip} rdns=mail.example.com helo=mail.example.com relay=N early=N "
            'esmtp=Y tls=Y pipe=N errors=0 txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=4711 lr="" time=1.204'
        )
        if self._fails():
            return [start, f"[INFO] [{uuid}] [core] client connection error: Error: {self._error()}  ip={ip}", end]
        hooks = [
            f'[INFO] [{uuid}.1] [core]  hook={hook} plugin={plugin} function=hook_{hook} params="" retval=OK msg=""'
            for hook, plugin in (("mail", "spf"), ("rcpt", "wildduck"), ("data_post", "rspamd"), ("queue", "wildduck"))
        ]
        secured = f"[INFO] [{uuid}] [tls] secured: cipher=TLS_AES_256_GCM_SHA384 version=TLSv1.3 verified=false"
        sender = f'[NOTICE] [{uuid}.1] [core] sender <news@sender.example> code=CONT msg=""'
        queued = f'[NOTICE] [{uuid}.1] [core] queue code=OK msg="Message Queued ({uuid}.1)"'
        return [start, secured, sender, *hooks, queued, end]

    def _wildduck(self) -> list[str]:
        cid, ip = self._id(), self._address()
        lines = [f"info IMAP [{cid}] Connection from [{ip}] to vm 172.18.0.7:143"]
        if self._fails():
            failed = (
                f'info Gelf {{"short_message":"WILDDUCK [IMAPCONNERR] {self._error()}\\n",'
                f'"_code":"ERR_SSL_UNSUPPORTED_PROTOCOL","_sess":"{cid}","_ip":"{ip}","facility":"wildduck"}}'
            )
            return [*lines, f"ERR! IMAP [{cid}] {self._error()}", "ERR! IMAP ", failed]
        for number in range(self._random.randrange(4, 14)):
            lines.append(
                f"sill IMAP [{cid}] C: a{number} UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (DATE FROM TO)])"
            )
            lines.append(
                f"sill IMAP [{cid}] S: a{number} OK UID FETCH completed, {self._random.randrange(9999)} messages"
            )
        return [*lines, f"info IMAP [{cid}] Connection closed to [{ip}]"]

    def _zonemta(self) -> list[str]:
        cid, ip = self._id(), self._address()
        if self._fails():
            return [f"ERR! {cid} {ip} {self._error()}", "ERR! ", f"ERR! SMTP/feeder/1 SERVERR error={self._error()}"]
        return [
            f"info SMTP/feeder/1 CONNECTION id={cid} src=[{ip}]:40000 tlsProtocol=No TLS",
            f'info SMTP/feeder/1 AUTHSUCCESS id={cid} user="alice" src=[{ip}] proto=PLAIN',
            f"info Queue/1 id={cid} NEW from=alice@example.com size=4711 mid=<{cid}@example.com>",
            f"info Sender/default/1[1] id={cid} 1a2.001 ACCEPTED from=alice@example.com to=bob@remote.example mx=mx.remote",
        ]

    def _rspamd(self) -> list[str]:
        at = f"2026-11-22 08:{self._random.randrange(60):02}:{self._random.randrange(60):02}"
        cid = f"{self._random.getrandbits(24):06x}"
        return [
            f"{at} #{number}(normal) <{cid}>; task; rspamd_task_write_log: id: <{self._id()}@sender.example>, "
            f"qid: <{cid}>, ip: {self._address()}, from: <news@sender.example>, (default: F (no action): [-0.10/15.00])"
            for number in range(20, 23)
        ]

    def _mongo(self) -> list[str]:
        return [
            f'{{"t":{{"$date":"2026-11-22T08:35:{self._random.randrange(60):02}.120+00:00"}},"s":"I","c":"NETWORK",'
            f'"id":22943,"ctx":"listener","msg":"Connection accepted","attr":{{"remote":"172.18.0.7:{port}"}}}}'
            for port in range(40000, 40003)
        ]

    def _traefik(self) -> list[str]:
        ip, port = self._address(), self._random.randrange(1024, 65536)
        host = f"[{ip}]" if ":" in ip else ip
        if self._fails():
            text = "tls: client offered only unsupported versions: [301]"
            return [f"2026-11-22T08:34:59Z DBG log/log.go:245 > http: TLS handshake error from {host}:{port}: {text}"]
        return [
            f'{ip} - - [22/Nov/2026:08:35:{self._random.randrange(60):02} +0000] "GET /webmail/{number} HTTP/2.0" 200 5120 '
            f'"-" "-" {number} "webmail@docker" "http://172.18.0.9:3000" {number}ms'
            for number in range(5)
        ]


@dataclass(frozen=True)
class Run:
    """One run of a program: seconds on the wall, seconds of a processor, what it printed."""

    wall: float
    cpu: float
    out: str


def run(*command: str) -> Run:
    """Run *command* to its end."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / shelf) for shelf in ("agents", "common"))}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)


def ours(file: Path) -> tuple[Run, int]:
    """Run the whole command with all shipped filters; the second figure is the offences it found."""
    done = run(sys.executable, "-m", "logban", "test", "--json", str(file))
    return done, sum(sum(each["kinds"].values()) for each in json.loads(done.out)["sources"])


def theirs(file: Path, scratch: Path, *, dates: bool) -> tuple[Run, int] | None:
    """Run fail2ban-regex likewise, or nothing where it is not installed; *dates*: it looks for times as it does of itself."""
    program = shutil.which("fail2ban-regex")
    if program is None:
        return None
    rule = scratch / "probes.conf"
    patterns = "\n            ".join(FAIL2BAN_PATTERNS)
    rule.write_text(f"[Definition]\nfailregex = {patterns}\n" + ("" if dates else "datepattern = {NONE}\n"))
    done = run(program, str(file), str(rule))
    summary = next(line for line in done.out.splitlines() if line.startswith("Lines: "))
    return done, int(summary.split(",")[2].split()[0])


def pace(name: str, lines: int, runs: Sequence[tuple[Run, int] | None]) -> tuple[str, ...]:
    """Tell the median of *runs*, of which each read so many *lines*."""
    done = sorted((each for each in runs if each is not None), key=lambda each: each[0].wall)
    if not done:
        return name, "not installed", "", ""
    middle, found = done[len(done) // 2]
    return name, f"{lines / middle.wall:,.0f}", f"{lines / middle.cpu:,.0f}", f"{found:,}"


def matching(lines: int, runs: int) -> list[tuple[str, ...]]:
    """Measure ours and theirs by turns, so that both see the same weather: name, lines/s, lines/CPU-s, found."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        whole, tenth = scratch / "mixed.log", scratch / "tenth.log"
        Generator().write(whole, lines)
        Generator().write(tenth, lines // 10)
        turns = [(ours(whole), theirs(whole, scratch, dates=False)) for _ in range(runs)]
        return [
            pace("`logban test`, all eight shipped filters", lines, [mine for mine, _ in turns]),
            pace("`fail2ban-regex`, 3 patterns, no search for dates", lines, [peer for _, peer in turns]),
            pace("`fail2ban-regex`, 3 patterns, as it comes", lines // 10, [theirs(tenth, scratch, dates=True)]),
        ]


def by_pattern_count(lines: int) -> list[tuple[str, ...]]:
    """Tell lines per CPU second with the first 3, 10 and 50 patterns of the shipped filters and made-up ones."""
    made_up = "".join(f"  - {{offence: '^service{n} refused peer <ADDR>$', kind: malformed}}\n" for n in range(60))
    extra = rules.read("made-up", f"about: none\npatterns:\n{made_up}", "made-up")
    everything = [rule for each in rules.shipped().values() for rule in each.rules if rule.role == "offence"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mixed.log"
        Generator().write(file, lines)
        for count in (3, 10, 50):
            chosen = [*everything, *extra.rules][:count]
            names = {rule.filter for rule in chosen}
            own = [rules.Filter(n, "", (), (), tuple(r for r in chosen if r.filter == n), ()) for n in names]
            log = Log(Recogniser(own))
            started = time.process_time()
            with file.open("rb") as stream:
                for block in blocks.read(stream):
                    log.feed(block)
            rows.append((f"{count} patterns", f"{log.lines / (time.process_time() - started):,.0f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    for row in (*matching(chosen.lines, chosen.runs), *by_pattern_count(chosen.lines)):
        print("  ".join(row))


if __name__ == "__main__":
    main()
