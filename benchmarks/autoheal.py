"""autoheal beside the polling script it replaces, and beside what the engine itself needs."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from benchmarks.report import machine, spread, step, table
from lab.agent import AgentProcess
from lab.containers import Container, Containers
from lab.engine import PrivateEngine
from lab.events import EventLog
from lab.patients import fall_sick, patient, wait_healthy
from lab.webhook import Webhook

PEER = Path(__file__).parent / "peers" / "willfarrell.sh"
SIZES = (1, 50, 150)
STORM = 30
STORM_PARALLEL = 8
PEER_INTERVAL_SECONDS = 5.0
SLOW_STOP_SECONDS = 30
MEBIBYTE = 2**20
Healer = Callable[[], AgentProcess]


@dataclass(frozen=True, slots=True)
class Repetitions:
    """How often each thing is done, and for how long the idle ones are watched."""

    heals: int = 100
    peer_heals: int = 20
    calls: int = 30
    storms: int = 5
    idle_seconds: float = 60.0
    growth_heals: int = 1000


QUICK = Repetitions(heals=10, peer_heals=2, calls=5, storms=1, idle_seconds=10.0, growth_heals=60)


class Peer(AgentProcess):
    """The polling script, with the same questions answered about it as about an agent."""

    def _command(self, *_: str) -> list[str]:
        return ["sh", str(PEER)]


class Bench:
    """One engine, one growing crowd of healthy labelled containers, and what is measured on them."""

    def __init__(self, engine: PrivateEngine, containers: Containers, folder: Path, times: Repetitions) -> None:
        self.engine, self._containers, self._folder, self.times = engine, containers, folder, times
        self._started = 0
        self.crowd: list[Container] = []

    def grow(self, size: int) -> None:
        """Have *size* labelled containers, all well."""
        step(f"{size} containers")
        with ThreadPoolExecutor(4) as pool:
            self.crowd += pool.map(lambda n: patient(self._containers, f"crowd{n}"), range(len(self.crowd), size))
        wait_healthy(self.crowd, deadline=120.0)

    @contextmanager
    def ours(self, *, parallel: int = 3, **env: str) -> Iterator[AgentProcess]:
        settings = {
            "AUTOHEAL_MAX_PARALLEL": str(parallel),
            "AUTOHEAL_BACKOFF": "0s",  # one container is healed again and again
            "AUTOHEAL_STORM_GUARD": "false",
            **env,
        }
        with AgentProcess("autoheal", self._new_folder(), docker_host=self.engine.url, env=settings) as agent:
            agent.wait_for("container_watched", count=len(self.crowd), deadline=60.0)
            yield agent

    @contextmanager
    def peer(self) -> Iterator[AgentProcess]:
        settings = {"DOCKER_SOCK": str(self.engine.socket), "AUTOHEAL_INTERVAL": f"{PEER_INTERVAL_SECONDS:g}"}
        with Peer("willfarrell", self._new_folder(), docker_host=self.engine.url, env=settings) as script:
            yield script

    def _new_folder(self) -> Path:
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        return folder

    # Figures

    def latencies(self, heals: int, pause_seconds: float) -> list[float]:
        """Let one container after the other turn sick; returns the seconds from `unhealthy` to the first `kill`.

        *pause_seconds*: the longest of the random waits between them, so that no beat of a poll is met.
        """
        found = []
        with EventLog(self.engine.url) as events:
            for number in range(heals):
                subject = self.crowd[number % len(self.crowd)]
                begun = time.time()
                time.sleep(random.uniform(0.0, pause_seconds))
                fall_sick([subject])
                events.wait_for(subject, "restart", count=number // len(self.crowd) + 1)
                subject.wait_for(health="healthy")
                found.append(_sick_to_kill(events, subject, begun))
        return found

    def storm(self) -> float:
        """Let many turn sick at once; returns the seconds from the first `unhealthy` to the last first `kill`."""
        sick = self.crowd[:STORM]
        with EventLog(self.engine.url) as events:
            fall_sick(sick)
            for each in sick:
                events.wait_for(each, "restart", deadline=120.0)
            first = min(each.at for each in events.of(None, "health_status: unhealthy"))
            last = max(events.of(each, "kill")[0].at for each in sick)
        wait_healthy(sick)
        return last - first

    def storm_by_hand(self) -> float:
        """Make the calls of a storm's restarts from as many threads; returns the seconds until the last `kill`."""
        with EventLog(self.engine.url) as events, ThreadPoolExecutor(STORM_PARALLEL) as pool:
            begun = time.time()
            list(pool.map(Container.restart, self.crowd[:STORM]))
            last = max(events.of(each, "kill")[0].at for each in self.crowd[:STORM])
        wait_healthy(self.crowd[:STORM])
        return last - begun

    def floor(self, calls: int) -> list[float]:
        """Measure from a restart call made by hand to its `kill`."""
        found = []
        with EventLog(self.engine.url) as events:
            for number in range(calls):
                subject = self.crowd[number % len(self.crowd)]
                begun = time.time()
                subject.restart()
                found.append(next(kill.at for kill in events.of(subject, "kill") if kill.at >= begun) - begun)
                subject.wait_for(health="healthy")
        return found

    def idle(self, agent: AgentProcess | None) -> tuple[float, float]:
        """Watch for a while; returns the CPU seconds that the agent (0 without one) and the engine used in a minute."""
        seconds = self.times.idle_seconds
        time.sleep(3.0)  # what the start set off is over
        before = _cpu_seconds(agent), _run_by(self.engine.pid)
        time.sleep(seconds)
        after = _cpu_seconds(agent), _run_by(self.engine.pid)
        own, engine = ((then - now) * 60.0 / seconds for now, then in zip(before, after, strict=True))
        return own, engine

    def growth(self, agent: AgentProcess, heals: int) -> tuple[int, int]:
        """Heal the crowd again and again; returns the agent's resident bytes after the first hundred and at the end."""
        done, early = 0, 0
        while done < heals:
            fall_sick(self.crowd)
            done += len(self.crowd)
            agent.wait_for("heal_ended", count=done, outcome="recovered", deadline=300.0)
            early = early or agent.rss
        return early, agent.rss

    @contextmanager
    def trouble(self) -> Iterator[str]:
        """Keep a container in a slow stop, again and again, and a webhook hanging; lends the webhook's address."""
        labels = {"autoheal.stop.timeout": str(SLOW_STOP_SECONDS)}
        slow = patient(self._containers, "slow", deaf=True, labels=labels)
        wait_healthy([slow])
        over = Event()

        def sicken() -> None:
            while not over.is_set():
                with suppress(AssertionError):  # it is not well again yet
                    fall_sick([slow], deadline=1.0)

        with Webhook(hangs=True) as webhook:
            self.crowd.append(slow)
            Thread(target=sicken, daemon=True).start()
            try:
                yield webhook.url
            finally:
                over.set()
                self.crowd.remove(slow)
                slow.remove()


def measure(*, quick: bool) -> str:
    """Measure everything and describe it; about a quarter of an hour, or a minute or two when *quick*."""
    with (
        tempfile.TemporaryDirectory(prefix="sidecars-bench-") as folder,
        PrivateEngine() as engine,
        Containers(engine) as containers,
    ):
        times = QUICK if quick else Repetitions()
        bench = Bench(engine, containers, Path(folder), times)
        latency = [_latencies_at(bench, size, times) for size in SIZES]
        tables = [
            _latency_table([*latency, _latency_in_trouble(bench, times)]),
            _storm_table(bench, times),
            _idle_table(bench),
            _growth(bench, times),
        ]
        version = engine.api.version()["Version"]
    return "\n\n".join(["## autoheal", f"Engine {version}; {machine()}.", *tables])


def _latencies_at(bench: Bench, size: int, times: Repetitions) -> tuple[str, str, str, str]:
    bench.grow(size)
    step("a restart call by hand")
    floor = bench.floor(times.calls)
    step("autoheal's heals")
    with bench.ours():
        ours = bench.latencies(times.heals, 0.2)
    step("the polling script's heals")
    with bench.peer():
        theirs = bench.latencies(times.peer_heals, PEER_INTERVAL_SECONDS)
    return str(size), spread(ours), spread(theirs), spread(floor)


def _latency_in_trouble(bench: Bench, times: Repetitions) -> tuple[str, str, str, str]:
    step("autoheal's heals beside a hanging webhook and a slow stop")
    with bench.trouble() as url, bench.ours(WEBHOOK_URL=url):
        bench.crowd, slow = bench.crowd[:-1], bench.crowd[-1:]
        ours = bench.latencies(times.heals, 0.2)
        bench.crowd += slow
    return f"{len(bench.crowd)}, webhook hangs, another in a {SLOW_STOP_SECONDS} s stop", spread(ours), "", ""


def _latency_table(rows: Sequence[Sequence[str]]) -> str:
    return (
        "### From `unhealthy` to `kill`\n\n"
        "By the engine's own timestamps, in milliseconds: median / 99th percentile / maximum. Containers turn sick one "
        "at a time, at random moments; the next when the last is well. By hand: from sending a restart call to the "
        "`kill`, which is the engine's share. Polling script: `benchmarks/peers/willfarrell.sh`, every 5 s.\n\n"
        + table(("labelled containers", "autoheal", "polling script", "restart call by hand"), rows)
    )


def _storm_table(bench: Bench, times: Repetitions) -> str:
    step("storms")
    by_hand = [bench.storm_by_hand() for _ in range(times.storms)]
    with bench.ours(parallel=STORM_PARALLEL):
        ours = [bench.storm() for _ in range(times.storms)]
    with bench.peer():
        theirs = [bench.storm() for _ in range(max(1, times.storms // 2))]
    rows = [
        (name, f"{statistics.median(found):.2f}", f"{min(found):.2f} to {max(found):.2f}", str(len(found)))
        for name, found in (
            (f"autoheal, AUTOHEAL_MAX_PARALLEL={STORM_PARALLEL}, AUTOHEAL_STORM_GUARD=false", ours),
            ("polling script", theirs),
            (f"restart calls by hand from {STORM_PARALLEL} threads", by_hand),
        )
    ]
    return (
        f"### {STORM} of {len(bench.crowd)} sick at once, until the last `kill`\n\n"
        "Seconds from the first `unhealthy` (by hand: from the first call) to the `kill` of the last one. What "
        "remains is the engine's: a restart costs it 0.2 s of a core.\n\n"
        + table(("who", "median", "range", "storms"), rows)
    )


def _idle_table(bench: Bench) -> str:
    step("idle")
    nobody = bench.idle(None)
    with EventLog(bench.engine.url):
        stream = bench.idle(None)
    with bench.ours() as agent:
        ours, memory = bench.idle(agent), _memory(agent)
    with bench.peer() as script:
        theirs = bench.idle(script)
    rows = [
        (name, f"{own:.3f}", f"{engine:.3f}", bytes_)
        for name, (own, engine), bytes_ in (
            ("nobody", nobody, ""),
            ("an idle event stream", stream, ""),
            ("autoheal", ours, memory),
            ("polling script", theirs, ""),
        )
    ]
    return (
        f"### Idle, {len(bench.crowd)} containers\n\n"
        f"CPU seconds in a minute, taken from {bench.times.idle_seconds:g} s: those of the process with its children, "
        "and those of dockerd, which collects garbage at random. The containers' probes wait, so they cost nothing "
        "here.\n\n" + table(("who watches", "its CPU", "dockerd's CPU", "RSS / PSS, MiB"), rows)
    )


def _growth(bench: Bench, times: Repetitions) -> str:
    step(f"{times.growth_heals} heals")
    with bench.ours(parallel=STORM_PARALLEL) as agent:
        early, late = bench.growth(agent, times.growth_heals)
        memory = _memory(agent)
    return (
        f"### Growth\n\nResident memory after the first {len(bench.crowd)} heals {early / MEBIBYTE:.1f} MiB, after "
        f"{times.growth_heals} and more {late / MEBIBYTE:.1f} MiB (RSS / PSS then {memory})."
    )


def _sick_to_kill(events: EventLog, subject: Container, since: float) -> float:
    sick, kill = (
        next(each.at for each in events.of(subject, action) if each.at >= since)
        for action in ("health_status: unhealthy", "kill")
    )
    return kill - sick


def _memory(agent: AgentProcess) -> str:
    rollup = Path(f"/proc/{agent.pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return f"{agent.rss / MEBIBYTE:.1f} / {pss / MEBIBYTE:.1f}"


def _cpu_seconds(agent: AgentProcess | None) -> float:
    """Say what it has run so far; the script's many short children are counted by the kernel in ticks of 10 ms only."""
    if agent is None:
        return 0.0
    return agent.cpu_seconds if isinstance(agent, Peer) else _run_by(agent.pid)


def _run_by(pid: int) -> float:
    """Read what the threads of a process have run, to the nanosecond: ticks are too coarse for the idle."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
