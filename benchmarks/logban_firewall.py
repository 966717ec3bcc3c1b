"""Bans in the kernel: how fast many are in force after a cold start, and what one more costs, beside fail2ban's way.

    python -m benchmarks.logban_firewall [--bans 100000] [--peer-bans 2000] [--rounds 5] [--backends nftables ...]

Runs as root in a network namespace of its own, so no rule of the machine is touched. fail2ban starts a shell for every
ban, after a restart too; where it is installed the real one takes part, with its own ipset action. Medians are printed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from logban.firewall import Ban, Fence, Firewall
from logban.iptables import Iptables
from logban.nftables import Nftables

INSIDE = "LOGBAN_BENCHMARK_INSIDE"
BACKENDS: dict[str, Callable[[], Firewall]] = {
    "nftables": Nftables,
    "iptables-nft": lambda: Iptables("-nft"),
    "iptables-legacy": lambda: Iptables("-legacy"),
}
PORTS = frozenset({25, 110, 143, 465, 587, 993, 995})
DAY = 86_400.0
FIRST = int(IPv4Network("11.0.0.0/32").network_address)
START_SECONDS = 300.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--bans", type=int, default=100_000)
    arguments.add_argument("--peer-bans", type=int, default=2_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    options = arguments.parse_args()
    if INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, "-m", "benchmarks.logban_firewall", *sys.argv[1:]]
        return subprocess.run(command, check=False, env={**os.environ, INSIDE: "1"}).returncode
    bans = mixed(options.bans)
    for name in options.backends:
        ours(name, BACKENDS[name], bans, options.rounds)
    forks(options.peer_bans)
    if shutil.which("fail2ban-server"):
        fail2ban(options.peer_bans)
    return 0


def mixed(number: int) -> list[Ban]:
    """Four IPv4 addresses to one IPv6 /64."""
    ipv6 = number // 5
    bans = [Ban(IPv4Network(FIRST + i), DAY + i % 1000) for i in range(number - ipv6)]
    return bans + [Ban(IPv6Network(((0x20010DB8 << 96) + (i << 64), 64)), DAY) for i in range(ipv6)]


def ours(name: str, backend: Callable[[], Firewall], bans: list[Ban], rounds: int) -> None:
    cold, reload = [], []
    for _ in range(rounds):
        with closing(backend()) as firewall:
            with timed(cold):
                firewall.guard([Fence(tcp=PORTS)])
                firewall.restore(bans)
            with timed(reload):
                firewall.restore(bans)
            if sum(firewall.count().values()) != len(bans):
                raise SystemExit(f"{name}: not all bans are in force")
            firewall.uninstall()
    say(name, f"cold start with {len(bans)} bans", statistics.median(cold))
    say(name, f"atomic reload of {len(bans)} bans", statistics.median(reload))
    with closing(backend()) as firewall:
        firewall.guard([Fence(tcp=PORTS)])
        firewall.restore(bans)
        single(name, firewall)
        firewall.uninstall()


def single(name: str, firewall: Firewall) -> None:
    more = [Ban(IPv4Network(FIRST + 0x0100_0000 + i), DAY) for i in range(2_000)]
    banning, unbanning, looking = [], [], []
    firewall.check()
    for ban in more:
        with timed(banning):
            firewall.ban(ban)
    for ban in more:
        with timed(unbanning):
            firewall.unban(ban.source)
    firewall.check(more[:0])
    for _ in range(20):
        with timed(looking):
            firewall.check()
    for what, times in (("one more ban", banning), ("one unban", unbanning), ("one look, nothing changed", looking)):
        say(name, what, statistics.median(times), f"p99 {1e6 * sorted(times)[len(times) * 99 // 100]:.0f} us")


def forks(number: int) -> None:
    """Ban as fail2ban's actions do: by starting programs."""
    subprocess.run(["ipset", "create", "forked", "hash:ip", "timeout", "0"], check=True)
    ways = {
        "fork of ipset": lambda address: ["ipset", "-exist", "add", "forked", address, "timeout", "600"],
        "sh -c ipset": lambda address: ["sh", "-c", f"ipset -exist add forked {address} timeout 600"],
    }
    for name, command in ways.items():
        times: list[float] = []
        for ban in mixed(number)[: number // 4]:
            with timed(times):
                subprocess.run(command(str(ban.source.network_address)), check=True)
        say(name, "one more ban", statistics.median(times))
    subprocess.run(["ipset", "destroy", "forked"], check=True)


def fail2ban(number: int) -> None:
    """Ban, then restart the real server and wait until all its bans are in force again."""
    addresses = [str(IPv4Network(FIRST + i).network_address) for i in range(number)]
    with tempfile.TemporaryDirectory(prefix="logban-bench-") as folder:
        peer = Fail2ban(Path(folder))
        with peer.running():
            peer.ask("set", "bench", "banip", *addresses)
            wait_for(lambda: in_force() == number)
        started = time.perf_counter()
        with peer.running():
            wait_for(lambda: in_force() == number)
            say("fail2ban", f"cold start with {number} bans", time.perf_counter() - started)


class Fail2ban:
    """A fail2ban-server with all its files in one folder, which reads the file `log` there and bans at once."""

    def __init__(
        self,
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        port: int = 25,
        protocol: str = "tcp",
        backend: str = "polling",
    ) -> None:
        self._folder, self._prefix = folder, prefix
        self._options = ["-c", f"{folder}/etc", "-s", f"{folder}/sock", "-p", f"{folder}/pid"]
        (folder / "etc/filter.d").mkdir(parents=True)
        shutil.copytree("/etc/fail2ban/action.d", folder / "etc/action.d")
        (folder / "log").touch()
        (folder / "etc/filter.d/bench.conf").write_text(
            "[Definition]\nfailregex = ^failure from <ADDR>$\ndatepattern = {NONE}\n"
        )
        (folder / "etc/fail2ban.conf").write_text(
            f"[Definition]\nallowipv6 = auto\nloglevel = ERROR\nlogtarget = {folder}/server.log\nsyslogsocket = auto\n"
            f"socket = {folder}/sock\npidfile = {folder}/pid\ndbfile = {folder}/db\n"
            "dbpurgeage = 1d\ndbmaxmatches = 10\n"
        )
        (folder / "etc/jail.conf").write_text(
            f"[bench]\nenabled = true\nfilter = bench\nlogpath = {folder}/log\nbackend = {backend}\n"
            "bantime = 1d\nfindtime = 10m\nmaxretry = 1\n"
            f'action = iptables-ipset[name=bench, port="{port}", protocol={protocol}, chain=INPUT, type=multiport,'
            " blocktype=DROP]\n"
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        process = subprocess.Popen([*self._prefix, "fail2ban-server", "-f", *self._options], stdout=subprocess.DEVNULL)
        try:
            wait_for((self._folder / "sock").exists)
            yield
        finally:
            process.terminate()
            process.wait(START_SECONDS)

    def say(self, line: str) -> None:
        """Append a line to the log that it follows."""
        with (self._folder / "log").open("a") as log:
            log.write(f"{line}\n")

    def ask(self, *words: str) -> None:
        subprocess.run(
            [*self._prefix, "fail2ban-client", *self._options, *words], check=True, stdout=subprocess.DEVNULL
        )


def in_force() -> int:
    """Count what the kernel holds of fail2ban's."""
    listed = subprocess.run(["ipset", "list", "-t", "f2b-bench"], check=False, capture_output=True, text=True).stdout
    return next((int(line.split()[-1]) for line in listed.splitlines() if line.startswith("Number of entries")), 0)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("fail2ban did not get there in time")
        time.sleep(0.05)


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times.append(time.perf_counter() - started)


def say(who: str, what: str, seconds: float, more: str = "") -> None:
    figure = f"{seconds:8.2f} s " if seconds >= 0.01 else f"{1e6 * seconds:8.0f} us"
    print(f"{who:<16}  {what:<32}  {figure.strip():>12}  {more}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
