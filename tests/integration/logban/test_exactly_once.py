"""Each line of a container's log counts once, whoever is killed and whatever is rotated away meanwhile."""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.containers import Container, Containers
from lab.logban import WATCHED, Logban
from lab.wire import wait_for

SECONDS = 60
KILLS, RESTARTS = 30, 3
FIRST = 1_000_001  # of the numbers in the truth file: all of them have as many digits

# Prints a line in two streams by turns, each of them an offence of the address that its number makes, and writes the
# number down. It keeps to the clock, and goes on where it was when its container is restarted.
WRITER = """
trap 'stop=1' TERM
exec 3>>/lab/truth
n=$(cat /lab/next)
tell="2026-11-22T08:36:00Z DBG http: TLS handshake error from"
why="1: tls: client offered only unsupported versions: [301]"
read now rest </proc/uptime; due=${now%.*}${now#*.}
while [ $n -lt $LAST ] && [ -z "$stop" ]; do
  end=$((n + PER_TICK))
  while [ $n -lt $end ]; do
    a=$((n % SOURCES)); a="198.$NET.$((a / 240)).$((a % 240))"
    if [ $((n % 2)) = 0 ]; then echo "$tell $a:$why"; else echo "$tell $a:$why" >&2; fi
    echo $n >&3
    n=$((n + 1))
  done
  due=$((due + 1))
  read now rest </proc/uptime
  while [ $due -gt ${now%.*}${now#*.} ]; do usleep 5000; read now rest </proc/uptime; done
done
echo $n >/lab/next
"""


# Counts and never bans: a source's offences are on record one by one, up to 64.
PATIENT = "jails: {wildduck-legacytls: {maxretry: 1000, findtime: 1h}}"


@dataclass
class Writer:
    """A container that prints numbered lines at a steady pace, and its own record of them.

    Its log is rotated every few seconds and holds the better part of a minute: on a busy machine the agent may be dead
    or just starting for half a minute of this one.

    Its lines name *sources* addresses of 198.*net*.0.0/16, one after the other, *per_tick* lines every 10 ms.
    """

    container: Container
    sources: int
    net: int
    lines: int

    @classmethod
    def create(  # noqa: PLR0913 - a container, read by its keywords
        cls, containers: Containers, source: str, *, net: int, sources: int, per_tick: int, size: str
    ) -> Self:
        """Make one whose log, in files of *size*, is read from *source*; not started yet."""
        lines = SECONDS * 100 * per_tick
        container = containers.create(
            source,
            labels={**WATCHED, "logban.filters": "traefik", "logban.source": source},
            command=("sh", "-c", f"LAST={FIRST + lines} PER_TICK={per_tick} SOURCES={sources} NET={net}{WRITER}"),
            host={"LogConfig": {"Type": "json-file", "Config": {"max-size": size, "max-file": "20"}}},
        )
        (container.folder / "next").write_text(str(FIRST))
        return cls(container, sources, net, lines)

    @property
    def printed(self) -> int:
        """How many lines it has printed."""
        truth = self.container.folder / "truth"
        return truth.stat().st_size // len(f"{FIRST}\n") if truth.exists() else 0

    def truth(self) -> Counter[int]:
        """How often it has named each address."""
        numbers = map(int, (self.container.folder / "truth").read_text().split())
        return Counter(self._address(number) for number in numbers)

    def _address(self, number: int) -> int:
        return int.from_bytes(bytes((198, self.net, *divmod(number % self.sources, 240))), "big")


def test_a_minute_of_lines_counts_exactly_once_whoever_is_killed(
    containers: Containers, logban: Callable[..., Logban], tmp_path: Path
) -> None:
    seed = random.randrange(1_000_000)
    sys.stdout.write(f"seed {seed}\n")  # a failing test shows it
    chance = random.Random(seed)
    (tmp_path / "logban.yml").write_text(PATIENT)
    through_engine = Writer.create(containers, "api", net=18, sources=20_000, per_tick=40, size="2m")
    from_file = Writer.create(containers, "file", net=19, sources=8_000, per_tick=10, size="500k")
    agent = logban(LOGBAN_BACKEND="none", LOGBAN_CONFIG=str(tmp_path / "logban.yml"))
    kills = [(chance.uniform(0.02, 0.98), "kill") for _ in range(KILLS)]
    restarts = [((number + chance.uniform(0.2, 0.8)) / RESTARTS, "restart") for number in range(RESTARTS)]

    with ThreadPoolExecutor(4) as pool:
        for each in (through_engine, from_file):
            each.container.start()
        for part, what in sorted([*kills, *restarts]):
            lines = part * through_engine.lines
            wait_for(lambda lines=lines: through_engine.printed >= lines, f"line {lines:.0f}", pause=0.005)
            if what == "kill":
                agent.process.kill9()
                agent.process.start()
            else:
                for each in (through_engine, from_file):
                    pool.submit(each.container.restart, 10)

    for each in (through_engine, from_file):
        each.container.wait_for(state="exited", deadline=60.0)
        assert each.printed == each.lines
        agent.wait_lines(each.container, each.lines, deadline=60.0)
    truth = through_engine.truth() + from_file.truth()
    rows = agent.rows("SELECT source, document FROM histories")
    counted = Counter({int(row["source"]): len(json.loads(row["document"])[0]) for row in rows})
    missing, double = truth - counted, counted - truth
    assert (missing.total(), double.total()) == (0, 0)
