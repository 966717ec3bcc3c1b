"""logban: matching and bans beside fail2ban's, reading beside a bare socket reader, from line to drop, and at rest."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

from benchmarks.logban_firewall import Fail2ban
from benchmarks.logban_matching import Generator, by_pattern_count, matching
from benchmarks.report import machine, spread, step, table
from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import PrivateEngine
from lab.logban import PORT, WATCHED, Logban, speaker
from lab.mailhost import HOST, connect
from lab.network import Echo, Namespace, NewNamespace, eventually, reaches
from lab.wire import wait_for

MEBIBYTE = 2**20
SILENCE_SECONDS = 0.3  # so long without an answer to any packet: dropped, and not just a busy machine
PACKET_SECONDS = 0.0005
PATIENCE_SECONDS = 30.0
OFFENCES = 5
PEER_PORT = 5353
NOISE = """
while true; do
  i=0
  while [ $i -lt 20 ]; do
    echo "[NOTICE] [AAAAAAAA-0000-0000-0000-0000000000$((10 + i))] [core] connect ip=192.0.2.1 port=1 local_ip=::1"
    i=$((i + 1))
  done
  usleep 20000
done
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is read, how often, and how long a resting agent is watched."""

    lines: int = 1_000_000
    readings: int = 3
    drops: int = 100
    peer_drops: int = 20
    bans: int = 100_000
    peer_bans: int = 2_000
    rounds: int = 3
    idle_seconds: float = 30.0


QUICK = Size(lines=50_000, readings=1, drops=10, peer_drops=3, bans=5_000, peer_bans=100, rounds=1, idle_seconds=5.0)


def measure(*, quick: bool) -> str:
    """Measure, and write the section."""
    size = QUICK if quick else Size()
    return "\n\n".join(["## logban", _matching(size), _live(size), _bans(size), machine()])


def _matching(size: Size) -> str:
    step(f"matching {size.lines:,} lines")
    rows = matching(size.lines, size.readings)
    counts = by_pattern_count(size.lines)
    head = ("on the same generated lines of six servers, 1 % failed handshakes", "lines/s", "lines/CPU-s", "found")
    return "\n\n".join(
        [
            "### Matching",
            table(head, rows),
            "Ours counts what lines of one connection tell together, theirs single lines. CrowdSec was not installed.",
            table(("matching alone, by number of patterns", "lines/CPU-s"), counts),
        ]
    )


def _live(size: Size) -> str:
    with ExitStack() as stack:
        engine = stack.enter_context(PrivateEngine())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logban-bench-")))
        rest = at_rest(engine, folder, size)
        theirs, delays = line_to_drop(engine, folder, size)
        bare, ours = reading(engine, folder, size)
    rows = [
        (
            f"lines/s through the engine, {size.lines:,} lines, four filters",
            f"{statistics.median(bare):,.0f} (bare socket reader)",
            f"{statistics.median(each.lines_per_second for each in ours):,.0f}",
        ),
        ("the agent's processor seconds and memory meanwhile", "", _costs(ours)),
        (
            "line to first dropped packet, ms: median / 99th percentile / maximum",
            f"{spread(theirs)} (fail2ban)" if theirs else "fail2ban is not installed",
            spread(delays),
        ),
        ("at rest, 6 containers: memory, processor time per minute", "", rest),
    ]
    return "\n\n".join(["### Live", table(("what", "beside", "logban"), rows)])


def _bans(size: Size) -> str:
    step(f"{size.bans:,} bans")
    options = {"bans": size.bans, "peer-bans": size.peer_bans, "rounds": size.rounds}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.logban_firewall", *words]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    rows = [tuple(re.split(r"\s{2,}", line, maxsplit=2)) for line in done.stdout.splitlines()]
    return "\n\n".join(["### Bans", table(("who", "what", "median"), [row for row in rows if len(row) == 3])])


def _costs(ours: list["Reading"]) -> str:
    seconds = statistics.median(each.cpu_seconds for each in ours)
    return f"{seconds:.1f} s, {max(each.rss for each in ours) / MEBIBYTE:.0f} MiB"


@contextmanager
def logban(engine: PrivateEngine, folder: Path, **env: str) -> Iterator[Logban]:
    """Run one with a state of its own."""
    state = Path(tempfile.mkdtemp(dir=folder))
    with AgentProcess("logban", state, docker_host=engine.url, prefix=engine.inside(), env=env) as agent:
        agent.wait_for("logban_started")
        yield Logban(agent)


# Reading


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading the whole log took."""

    lines_per_second: float
    cpu_seconds: float
    rss: int


def reading(engine: PrivateEngine, folder: Path, size: Size) -> tuple[list[float], list[Reading]]:
    """Read a long log in turn with the bare reader and with the agent."""
    step(f"a log of {size.lines:,} lines")
    with Containers(engine) as containers:
        container = containers.create(
            "long",
            labels={**WATCHED, "logban.filters": "haraka,wildduck,zonemta,traefik"},
            command=("cat", "/lab/log"),
        )
        Generator().write(container.folder / "log", size.lines)
        container.start()
        container.wait_for(state="exited", deadline=120.0)
        bare, ours = [], []
        for number in range(size.readings):
            step(f"reading it, {number + 1} of {size.readings}")
            bare.append(size.lines / _read_bare(engine, container))
            ours.append(_read_by_agent(engine, folder, container, size.lines))
    return bare, ours


def _read_bare(engine: PrivateEngine, container: Container) -> float:
    """Read the log as fast as a socket can be read, doing nothing with it. Seconds."""
    query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1}
    started = time.perf_counter()
    sock, _ = engine.api.bare_stream("logs", f"/containers/{container.id}/logs", query)
    with sock:
        while sock.recv(262_144):
            pass
    return time.perf_counter() - started


def _read_by_agent(engine: PrivateEngine, folder: Path, container: Container, lines: int) -> Reading:
    with logban(engine, folder, LOGBAN_BACKEND="none") as agent:
        agent.process.wait_for("container_watched")
        started, used = time.perf_counter(), agent.process.cpu_seconds
        wait_for(lambda: agent.lines(container) >= lines, "all is read", deadline=300.0, pause=0.01)
        seconds = time.perf_counter() - started
        return Reading(lines / seconds, agent.process.cpu_seconds - used, agent.process.rss)


# From line to drop


def line_to_drop(engine: PrivateEngine, folder: Path, size: Size) -> tuple[list[float], list[float]]:
    """Measure from the decisive line to the first packet dropped: fail2ban, then logban under 1,000 lines a second."""
    with ExitStack() as stack:
        internet = stack.enter_context(NewNamespace("internet"))
        host = Namespace(Path("/run/netns") / engine.namespace)
        connect(host, internet)
        theirs = _fail2ban_drops(engine, folder, host, internet, size) if shutil.which("fail2ban-server") else []
        step(f"line to drop, {size.drops} times")
        containers = stack.enter_context(Containers(engine))
        haraka = speaker(containers)
        containers.run("noise", labels=WATCHED, command=("sh", "-c", NOISE))
        inside = Namespace(Path(f"/proc/{haraka.container.inspect()['State']['Pid']}/ns/net"))
        stack.enter_context(Echo(inside, "::", 25))
        agent = stack.enter_context(logban(engine, folder, LOGBAN_BACKEND="nftables"))
        agent.wait_reading(haraka)
        agent.process.wait_for("ports_guarded", fences={"published": [PORT]})
        delays = []
        for address in _attackers(internet, PORT, size.drops):
            haraka.probe(address, OFFENCES - 1)
            delays.append(_one_delay(internet, address, PORT, partial(haraka.probe, address)))
        agent.process.stop()
        assert agent.process.command("uninstall").returncode == 0
    return theirs, delays


def _fail2ban_drops(
    engine: PrivateEngine, folder: Path, host: Namespace, internet: Namespace, size: Size
) -> list[float]:
    """Let the real one follow a file, the best way it has here, and ban with its ipset action."""
    step(f"line to drop, fail2ban, {size.peer_drops} times")
    backend = "pyinotify" if find_spec("pyinotify") else "polling"
    (folder / "fail2ban").mkdir()
    peer = Fail2ban(folder / "fail2ban", prefix=engine.inside(), port=PEER_PORT, protocol="udp", backend=backend)
    with Echo(host, HOST[4], PEER_PORT), peer.running():
        return [
            _one_delay(internet, address, PEER_PORT, partial(peer.say, f"failure from {address}"))
            for address in _attackers(internet, PEER_PORT, size.peer_drops)
        ]


def _attackers(internet: Namespace, port: int, count: int) -> Iterator[str]:
    """Give addresses of which each is answered at the time."""
    for number in range(count):
        address = f"198.51.100.{100 + number}"
        internet.run("ip", "address", "replace", f"{address}/24", "dev", "eth0")
        assert eventually(partial(reaches, internet, address, HOST[4], port))
        yield address


def _one_delay(internet: Namespace, address: str, port: int, decide: Callable[[], None]) -> float:
    """Send a packet every half millisecond; seconds from the decisive line to the first one without an answer."""
    with internet.socket(AF_INET, SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        sock.connect((HOST[4], port))
        sock.setblocking(False)  # noqa: FBT003 - socket's own
        sent: list[float] = []
        heard: set[int] = set()
        written, heard_at = 0.0, time.perf_counter()
        while True:
            now = time.perf_counter()
            assert not written or now - written < PATIENCE_SECONDS, f"{address} is never dropped"
            if not written and len(heard) >= 50:
                decide()
                written = time.perf_counter()
            sent.append(now)
            sock.send(len(sent).to_bytes(4, "big"))
            if _hear(sock, heard):
                heard_at = time.perf_counter()
            elif written and now - heard_at > SILENCE_SECONDS:
                break
            time.sleep(PACKET_SECONDS)
    last = max(heard)
    return max(0.0, sent[last] - written)  # the packet behind the last one that was answered


def _hear(sock: socket, heard: set[int]) -> bool:
    before = len(heard)
    try:
        while True:
            heard.add(int.from_bytes(sock.recv(64), "big"))
    except OSError:  # there is nothing more to hear at the moment
        return len(heard) > before


# At rest


def at_rest(engine: PrivateEngine, folder: Path, size: Size) -> str:
    """Watch it do nothing."""
    step(f"at rest, {size.idle_seconds:.0f} s")
    with Containers(engine) as containers:
        speakers = [speaker(containers, f"rest{number}", host={}, config={}) for number in range(6)]
        with logban(engine, folder, LOGBAN_BACKEND="nftables") as agent:
            agent.wait_reading(*speakers)
            used = agent.process.cpu_seconds
            time.sleep(size.idle_seconds)
            per_minute = (agent.process.cpu_seconds - used) / size.idle_seconds * 60.0
            figures = f"{agent.process.rss / MEBIBYTE:.0f} MiB, {per_minute:.2f} s"
            agent.process.stop()
            agent.process.command("uninstall")
    return figures
