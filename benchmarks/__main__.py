"""Usage: scripts/bench [AGENT...] [--quick] [--print]. Measures; writes docs/benchmarks.md, one section per agent."""

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
AGENTS = ("autoheal", "certsync", "logban")


def main() -> int:
    # Not this folder itself: its autoheal.py would stand before the package it measures.
    sys.path[:1] = [str(ROOT), *(str(ROOT / shelf) for shelf in ("agents", "common", "tests"))]
    from benchmarks import report  # noqa: PLC0415 - see above

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("agents", nargs="*", choices=[*AGENTS, []], metavar="AGENT", help=", ".join(AGENTS))
    parser.add_argument("--quick", action="store_true", help="few repetitions: shows that it runs, proves nothing")
    parser.add_argument("--print", action="store_true", dest="print_only", help="leave docs/benchmarks.md as it is")
    chosen = parser.parse_args()
    for agent in chosen.agents or AGENTS:
        section = importlib.import_module(f"benchmarks.{agent}").measure(quick=chosen.quick)
        print(section)
        if not (chosen.quick or chosen.print_only):
            report.replace(ROOT / "docs" / "benchmarks.md", agent, section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
