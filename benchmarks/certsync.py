"""What certsync costs: from the close of acme.json to a complete pair and to the served serial, memory, idle time.

The clock starts when the write, made as Traefik makes it, is closed. It stops when key and certificate in place are
both the new ones, as a reader beside certsync sees them (it looks every half millisecond), or when a client that shakes
hands over and over is first served the new serial. certsync runs as a process of its own, settle off. The peer is the
approach of haraka-cert-sync: a cron job that parses, writes in place and restarts.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.report import machine, spread, step, table
from lab import consumers
from lab.authority import Authority, Issued, entry
from lab.certsync import Certsync, Clients, served_serial, write_as_traefik_does

NAME = "mail.example.com"
CRON_JOB = """
import base64, json, os, pathlib, subprocess, sys
acme, cert, key, name = sys.argv[1:]
data = json.loads(pathlib.Path(acme).read_text())
for block in data.values():
    entries = block.get("Certificates", [])
    if entries:
        break
match = next(one for one in entries if name in [one["domain"].get("main")] + (one["domain"].get("sans") or []))
changed = False
for path, field, mode in ((cert, "certificate", 0o640), (key, "key", 0o600)):
    content = base64.b64decode(match[field]).decode()
    if not os.path.exists(path) or pathlib.Path(path).read_text() != content:
        pathlib.Path(path).write_text(content)
        os.chmod(path, mode)
        changed = True
if changed:
    subprocess.run(["true"], check=False)  # docker restart, whose cost is not counted here
"""


@dataclass(frozen=True, slots=True)
class Repetitions:
    """How often each thing is measured."""

    deliveries: int = 200
    large_deliveries: int = 20
    cron_jobs: int = 20
    renewals: int = 5
    idle_seconds: float = 60.0


QUICK = Repetitions(deliveries=10, large_deliveries=2, cron_jobs=2, renewals=1, idle_seconds=5.0)


def measure(*, quick: bool) -> str:
    """Measure everything and describe it; about five minutes, or one when *quick*."""
    times, authority = QUICK if quick else Repetitions(), Authority()
    sizes = ((10, times.deliveries), (1_000, times.deliveries), (10_000, times.large_deliveries))
    tables = [
        table(
            (
                "certificates (RSA-4096)",
                "size",
                "to a complete pair: p50 / p99 / max, ms",
                "peak memory",
                "cron job: one run with a change, ms",
            ),
            [_deliveries(count, runs, times, authority) for count, runs in sizes],
        ),
        "The cron job runs every hour: a renewal waits for it 30 minutes on average. Its restart is not in its figure.",
        table(
            ("to the served serial", "slowest, s", "handshakes meanwhile", "failed"),
            [_haraka(times, authority), _zonemta(times, authority)],
        ),
        "Five seconds of Haraka's are its own: it waits that long after a change in its folder.",
        _idle(times, authority),
    ]
    return "\n\n".join(["## certsync", f"{machine()}.", *tables])


def store(wanted: Issued, filler: list[dict[str, Any]]) -> str:
    """Make an acme.json with the wanted certificate in the middle of the others."""
    entries = [*filler[: len(filler) // 2], entry(wanted, main=NAME), *filler[len(filler) // 2 :]]
    return json.dumps({"le": {"Account": None, "Certificates": entries}}, indent=2)


def fillers(authority: Authority, count: int) -> list[dict[str, Any]]:
    """Make *count* entries of other names; eight keys are enough, they are never looked at."""
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=4096) for _ in range(min(8, count))]
    made = [entry(authority.issue(f"host{n}.example.net", private=key)) for n, key in enumerate(keys)]
    return [made[number % len(made)] for number in range(count)]


@contextmanager
def delivering() -> Iterator[tuple[Path, Certsync]]:
    """Run a certsync that delivers a pair without telling anybody; lends its folder."""
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        document = (
            f"sources: {{traefik: {{acme_json: {folder}/acme.json}}}}\n"
            f"targets: {{mail: {{domains: [{NAME}], certificate: {folder}/out/c.pem, key: {folder}/out/k.pem}}}}\n"
        )
        with Certsync(folder, document, env={"LOG_LEVEL": "warning"}) as agent:
            yield folder, agent


def delivery_seconds(folder: Path, renewed: Issued, filler: list[dict[str, Any]], deadline: float = 60.0) -> float:
    """Write the store and wait until the whole new pair is in place."""
    text, certificate, key = store(renewed, filler), folder / "out" / "c.pem", folder / "out" / "k.pem"
    stamp = key.stat().st_ino if key.exists() else 0
    write_as_traefik_does(folder / "acme.json", text)
    closed = time.perf_counter()
    while time.perf_counter() - closed < deadline:
        with contextlib.suppress(FileNotFoundError):
            if certificate.read_bytes() == renewed.chain_pem and key.stat().st_ino != stamp:
                return time.perf_counter() - closed
        time.sleep(0.0005)
    raise SystemExit(f"not delivered within {deadline:g} s")


def _deliveries(count: int, runs: int, times: Repetitions, authority: Authority) -> tuple[str, ...]:
    step(f"{runs} deliveries from {count} certificates")
    filler, seconds = fillers(authority, count - 1), []
    with delivering() as (folder, agent):
        delivery_seconds(folder, authority.issue(NAME, days=20), filler)  # the first also loads everything
        for run in range(runs):
            time.sleep(0.05)  # it gives memory back after a delivery, as it would between real ones
            renewed = authority.issue(NAME, days=21 + run / 100, number=run % 4)
            seconds.append(delivery_seconds(folder, renewed, filler))
        size, peak = (folder / "acme.json").stat().st_size, _peak_rss(agent)
    job = _cron_job_seconds(filler, max(2, times.cron_jobs * 10 // max(10, count // 100)), authority)
    return str(count), f"{size / 1e6:.1f} MB", spread(seconds), f"{peak / 2**20:.0f} MiB", f"{job * 1000:.0f}"


def _cron_job_seconds(filler: list[dict[str, Any]], runs: int, authority: Authority) -> float:
    seconds = []
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name:
        acme, cert, key = (f"{name}/{one}" for one in ("acme.json", "c.pem", "k.pem"))
        for run in range(runs):
            Path(acme).write_text(store(authority.issue(NAME, days=20 + run), filler))
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", CRON_JOB, acme, cert, key, NAME], check=True)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _haraka(times: Repetitions, authority: Authority) -> tuple[str, ...]:
    step("renewals reach Haraka")
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name:
        folder = Path(name)
        with consumers.haraka(folder, "haraka-3.3.4", NAME) as server:
            return ("Haraka 3.3.4", *_renewals(folder, server, times, authority))


def _zonemta(times: Repetitions, authority: Authority) -> tuple[str, ...]:
    step("renewals reach ZoneMTA")
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name:
        folder, first = Path(name), authority.issue(NAME, days=10)
        with consumers.zonemta(folder, first, plugin=True) as server:
            return ("ZoneMTA 3.10.3 with the plugin", *_renewals(folder, server, times, authority))


def _renewals(folder: Path, server: consumers.Server, times: Repetitions, authority: Authority) -> tuple[str, str, str]:
    """Renew under the hands of six clients: slowest until the new serial is served, handshakes, failures."""
    seconds = []
    with Certsync(folder, server.document(NAME)) as agent:
        server.renew(authority.issue(NAME, days=20))
        agent.wait_served(1, server.name)
        with Clients(lambda: served_serial(server.port)).at_work() as clients:
            for number in range(times.renewals):
                renewed = authority.issue(NAME, days=21 + number, number=number)
                server.renew(renewed)
                seconds.append(_seconds_until(lambda serial=renewed.serial: served_serial(server.port) == serial))
    return f"{max(seconds):.2f}", str(sum(clients.serials.values())), str(len(clients.failures))


def _seconds_until(claim: Callable[[], bool], deadline: float = 60.0) -> float:
    started = time.perf_counter()
    while not claim():
        if time.perf_counter() - started > deadline:
            raise SystemExit(f"not served within {deadline:g} s")
        time.sleep(0.05)
    return time.perf_counter() - started


def _idle(times: Repetitions, authority: Authority) -> str:
    """Describe a certsync that has nothing to do but its polls of source and target."""
    step("an idle certsync")
    with delivering() as (folder, agent):
        delivery_seconds(folder, authority.issue(NAME), fillers(authority, 9))
        time.sleep(2)
        before = agent.cpu_seconds
        time.sleep(times.idle_seconds)
        percent = (agent.cpu_seconds - before) / times.idle_seconds * 100
        return f"Idle, 10 certificates: {agent.rss / 1e6:.1f} MB resident, {percent:.2f} % of a processor."


def _peak_rss(agent: Certsync) -> int:
    """Read the most memory it ever had, in bytes."""
    status = Path(f"/proc/{agent.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
