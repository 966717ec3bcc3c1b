"""How figures become docs/benchmarks.md: tables, the machine they were taken on, and one section for each agent."""

import math
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

HEAD = """# Figures

Written by `make bench`; each section says how it was measured. Peers run in the same minutes on the same engine.
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def step(text: str) -> None:
    """Say on stderr what is being measured: all of it takes a while."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = os.getloadavg()[1]
    return (
        f"{os.cpu_count()} x {model.group(1) if model else platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, load average {load:.1f} at the end"
    )


def percentile(values: Sequence[float], part: float) -> float:
    """Give the value that *part* (0 to 1) of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]


def spread(seconds: Sequence[float]) -> str:
    """Say median, 99th percentile and maximum, in milliseconds."""
    figures = (statistics.median(seconds), percentile(seconds, 0.99), max(seconds))
    return " / ".join(f"{figure * 1000:.0f}" for figure in figures) + f" (n={len(seconds)})"


def replace(file: Path, agent: str, section: str) -> None:
    """Put *section* into *file* in the place of the agent's former one, or at the end."""
    text = file.read_text() if file.exists() else HEAD
    begin, end = f"<!-- {agent} -->", f"<!-- end of {agent} -->"
    block = f"{begin}\n{section.strip()}\n{end}\n"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n", re.DOTALL)
    found = pattern.search(text)
    file.parent.mkdir(exist_ok=True)
    file.write_text(pattern.sub(lambda _: block, text) if found else f"{text.rstrip()}\n\n{block}")
