"""What is kept of a sick container from before it is touched: its probes and its last words, without secrets."""

from collections.abc import Iterable
from typing import Any

from autoheal.health import Examination
from sidecarkit.masking import Mask

LONGEST_OUTPUT = 4096  # the engine keeps no more of a probe's output either
LONGEST_LINE = 2048
LONGEST_LOG = 65536


def of(examination: Examination) -> dict[str, Any]:
    """Take down what the inspection says; the fields of a record."""
    condition, mask = examination.condition, Mask(examination.environment)
    return {
        "failing_streak": condition.streak,
        "exit_code": condition.exit_code,
        "oom_killed": condition.oom_killed,
        "probes": [
            {
                "start": probe.start,
                "end": probe.end,
                "exit_code": probe.exit_code,
                "output": mask(probe.output)[:LONGEST_OUTPUT],
            }
            for probe in condition.probes
        ],
    }


def last_output(examination: Examination) -> str:
    """Give the output of the last probe, masked, on one line for people."""
    probes = examination.condition.probes
    output = Mask(examination.environment)(probes[-1].output) if probes else ""
    return " ".join(output.split())[:300]


def log_lines(lines: Iterable[bytes], environment: Iterable[str]) -> list[str]:
    """Make log lines fit to keep: text, masked, and not longer than LONGEST_LOG together; the newest are kept."""
    mask = Mask(environment)
    # Masked as one text first: a secret may span lines, and a cut must not leave half of one.
    text = mask(b"\n".join(lines).decode(errors="replace"))
    kept: list[str] = []
    size = 0
    for line in reversed(text.split("\n")):
        size += min(len(line), LONGEST_LINE)
        if size > LONGEST_LOG:
            break
        kept.append(line[:LONGEST_LINE])
    return kept[::-1] if text else []
