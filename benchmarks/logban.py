"""logban live: reading beside a bare socket reader, from a line to the first dropped packet, and at rest."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

from benchmarks.logban_matching import Generator
from benchmarks.report import machine, spread, step, table
from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import PrivateEngine
from lab.logban import PORT, WATCHED, Logban, Speaker, speaker
from lab.mailhost import HOST, connect
from lab.network import Echo, Namespace, NewNamespace, eventually, reaches
from lab.wire import wait_for

MEBIBYTE = 2**20
SILENCE_SECONDS = 0.05  # so long without an answer to any packet: dropped
PACKET_SECONDS = 0.0005
OFFENCES = 5
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
    bans: int = 100
    idle_seconds: float = 60.0


QUICK = Size(lines=50_000, readings=1, bans=10, idle_seconds=5.0)


def measure(*, quick: bool) -> str:
    """Measure, and write the section."""
    size = QUICK if quick else Size()
    with ExitStack() as stack:
        engine = stack.enter_context(PrivateEngine())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="logban-bench-")))
        rest = at_rest(engine, folder, size)
        delays = line_to_drop(engine, folder, size)
        bare, ours = reading(engine, folder, size)
    rows = [
        (
            f"lines/s through the engine, {size.lines:,} lines, four filters",
            f"{statistics.median(bare):,.0f} (bare socket reader)",
            f"{statistics.median(each.lines_per_second for each in ours):,.0f}",
        ),
        ("the agent's processor seconds and memory meanwhile", "", _costs(ours)),
        ("line to first dropped packet, ms: median / 99th percentile / maximum", "", spread(delays)),
        ("at rest, 6 containers: memory, processor time per minute", "", rest),
    ]
    return "\n".join(["## logban, live", "", table(("what", "beside", "logban"), rows), "", machine()])


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


def line_to_drop(engine: PrivateEngine, folder: Path, size: Size) -> list[float]:
    """Measure from writing the decisive line to the first packet that is not answered; 1,000 other lines a second."""
    step(f"line to drop, {size.bans} times")
    with ExitStack() as stack:
        containers = stack.enter_context(Containers(engine))
        internet = stack.enter_context(NewNamespace("internet"))
        host = Namespace(Path("/run/netns") / engine.namespace)
        connect(host, internet)
        haraka = speaker(containers)
        containers.run("noise", labels=WATCHED, command=("sh", "-c", NOISE))
        inside = Namespace(Path(f"/proc/{haraka.container.inspect()['State']['Pid']}/ns/net"))
        stack.enter_context(Echo(inside, "::", 25))
        agent = stack.enter_context(logban(engine, folder, LOGBAN_BACKEND="nftables"))
        agent.wait_reading(haraka)
        agent.process.wait_for("ports_guarded", fences={"published": [PORT]})
        delays = []
        for number in range(size.bans):
            address = f"198.51.100.{100 + number}"
            internet.address("eth0", f"{address}/24")
            assert eventually(lambda address=address: reaches(internet, address, HOST[4], PORT))  # type: ignore[misc]
            delays.append(_one_delay(internet, address, haraka))
        agent.process.stop()
        assert agent.process.command("uninstall").returncode == 0
    return delays


def _one_delay(internet: Namespace, address: str, haraka: Speaker) -> float:
    """Send a packet every half millisecond; seconds from the line to the first one without an answer."""
    haraka.probe(address, OFFENCES - 1)
    with internet.socket(AF_INET, SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        sock.connect((HOST[4], PORT))
        sock.setblocking(False)  # noqa: FBT003 - socket's own
        sent: list[float] = []
        heard: set[int] = set()
        written, heard_at = 0.0, time.perf_counter()
        while True:
            now = time.perf_counter()
            if not written and len(heard) >= 50:
                haraka.probe(address)
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
