"""What certsync costs: from the close of acme.json to a complete new pair, memory, idle time; beside the cron approach.

    python benchmarks/certsync.py [--quick] [--json FILE]

The clock starts when Traefik's write is closed and stops when key and certificate in place are both the new ones, as a
reader beside certsync sees them (it looks every half millisecond). certsync runs as a process of its own, settle off.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("tests", "common", "agents")]

from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402

from lab.agent import AgentProcess  # noqa: E402
from lab.authority import Authority, Issued, entry  # noqa: E402
from lab.certsync import Certsync, write_as_traefik_does  # noqa: E402

NAME = "mail.example.com"
# The approach that haraka-cert-sync takes: every hour a process that parses, compares, writes in place and restarts.
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


def store(wanted: Issued, filler: list[dict[str, Any]]) -> str:
    """acme.json with the wanted certificate in the middle of the others."""
    entries = [*filler[: len(filler) // 2], entry(wanted, main=NAME), *filler[len(filler) // 2 :]]
    return json.dumps({"le": {"Account": None, "Certificates": entries}}, indent=2)


def fillers(authority: Authority, count: int, bits: int) -> list[dict[str, Any]]:
    """Make *count* entries of other names with RSA keys; eight keys are enough, they are never compared."""
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=bits) for _ in range(min(8, count))]
    made = [entry(authority.issue(f"host{n}.example.net", private=key)) for n, key in enumerate(keys)]
    return [made[number % len(made)] for number in range(count)] if made else []


@contextmanager
def certsync(folder: Path) -> Iterator[Certsync]:
    """Run a certsync that delivers a pair without telling anybody."""
    (folder / "out").mkdir()
    document = (
        f"sources: {{traefik: {{acme_json: {folder}/acme.json}}}}\n"
        f"targets: {{mail: {{domains: [{NAME}], certificate: {folder}/out/c.pem, key: {folder}/out/k.pem}}}}\n"
    )
    with Certsync(folder, document, env={"LOG_LEVEL": "warning"}) as agent:
        yield agent


def delivery_seconds(folder: Path, renewed: Issued, filler: list[dict[str, Any]], deadline: float = 30.0) -> float:
    """Write the store and wait until the whole new pair is in place."""
    text, certificate, key = store(renewed, filler), folder / "out" / "c.pem", folder / "out" / "k.pem"
    stamp = key.stat().st_mtime_ns if key.exists() else 0
    write_as_traefik_does(folder / "acme.json", text)
    closed = time.perf_counter()
    while time.perf_counter() - closed < deadline:
        if certificate.exists() and certificate.read_bytes() == renewed.chain_pem and key.stat().st_mtime_ns != stamp:
            return time.perf_counter() - closed
        time.sleep(0.0005)
    raise SystemExit(f"not delivered within {deadline:g} s")


def latencies(entries: int, runs: int, bits: int, authority: Authority) -> dict[str, Any]:
    """Deliver *runs* renewals from a store of *entries* certificates."""
    filler = fillers(authority, entries - 1, bits)
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name, certsync(Path(name)) as agent:
        folder, seconds = Path(name), []
        delivery_seconds(folder, authority.issue(NAME, days=20), filler)  # the first also starts everything
        for run in range(runs):
            seconds.append(delivery_seconds(folder, authority.issue(NAME, days=21 + run / 100, number=run % 4), filler))
            time.sleep(0.02)  # it reads its own work again meanwhile
        size = (folder / "acme.json").stat().st_size
        peak = peak_rss(agent)
    return {
        "entries": entries,
        "megabytes": round(size / 1e6, 1),
        "runs": runs,
        "p50_ms": round(statistics.median(seconds) * 1000, 1),
        "p99_ms": round(sorted(seconds)[max(0, round(len(seconds) * 0.99) - 1)] * 1000, 1),
        "peak_rss_mib": round(peak / 2**20, 1),
    }


def cron_job_ms(entries: int, runs: int, bits: int, authority: Authority) -> float:
    """Run the cron job's program on the same store; median of its runs, without the hour it waits and the restart."""
    filler = fillers(authority, entries - 1, bits)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name:
        acme, cert, key = (f"{name}/{one}" for one in ("acme.json", "c.pem", "k.pem"))
        for run in range(runs):
            Path(acme).write_text(store(authority.issue(NAME, days=20 + run), filler))
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", CRON_JOB, acme, cert, key, NAME], check=True)
            seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds) * 1000, 1)


def idle(seconds: float, authority: Authority) -> dict[str, float]:
    """Memory and processor time of a certsync that has nothing to do; polls of the source included."""
    with tempfile.TemporaryDirectory(prefix="certsync-bench-") as name, certsync(Path(name)) as agent:
        delivery_seconds(Path(name), authority.issue(NAME), fillers(authority, 9, 2048))
        time.sleep(3)
        before = agent.cpu_seconds
        time.sleep(seconds)
        used = agent.cpu_seconds - before
        return {
            "rss_mb": round(agent.rss / 1e6, 1),
            "cpu_seconds_per_minute": round(used * 60 / seconds, 3),
            "cpu_percent": round(used / seconds * 100, 3),
        }


def peak_rss(agent: AgentProcess) -> int:
    """Read the most memory it ever had, in bytes."""
    status = Path(f"/proc/{agent.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def measure(*, quick: bool) -> dict[str, Any]:
    """Measure everything; about four minutes, quick one."""
    authority = Authority()
    runs = 40 if quick else 200
    return {
        "delivery": [
            latencies(10, runs, 4096, authority),
            latencies(1_000, runs, 4096, authority),
            latencies(10_000, 5 if quick else 20, 4096, authority),
        ],
        "cron_job_ms": {
            "10": cron_job_ms(10, 5 if quick else 20, 4096, authority),
            "10000": cron_job_ms(10_000, 3, 4096, authority),
        },
        "idle": idle(20 if quick else 60, authority),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    figures = measure(quick=arguments.quick)
    for row in figures["delivery"]:
        print("acme.json closed to complete pair:", "  ".join(f"{key} {value}" for key, value in row.items()))
    print("cron job, one run with a change, without its hour of waiting and its restart:", figures["cron_job_ms"])
    print("idle:", figures["idle"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
