"""Figures in Prometheus' text format, as others publish them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from stats import fetch
from stats.source import SourceDown


@dataclass(frozen=True, slots=True)
class Exposition:
    """All samples of one answer: name to (labels, value). `families` are also those that have no sample yet."""

    samples: Mapping[str, tuple[tuple[Mapping[str, str], float], ...]]
    seconds: float = 0.0
    families: frozenset[str] = frozenset()

    def each(self, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """Yield the samples of *name* that have these labels."""
        for found, value in self.samples.get(name, ()):
            if all(found.get(key) == wanted for key, wanted in labels.items()):
                yield found, value

    def total(self, name: str, **labels: str) -> float | None:
        """Add them up; None where there is none."""
        values = [value for _, value in self.each(name, **labels)]
        return sum(values) if values else None


def read(text: str, seconds: float = 0.0) -> Exposition:
    """Read a text. Raises SourceDown when it is something else."""
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    families = set()
    try:
        for family in text_string_to_metric_families(text):
            families.add(family.name)
            for sample in family.samples:
                if math.isfinite(sample.value):  # NaN and infinity are no figures
                    samples.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
    except (ValueError, IndexError, KeyError):
        raise SourceDown("answers with something else than figures") from None
    return Exposition({name: tuple(found) for name, found in samples.items()}, seconds, frozenset(families))


def scrape(base: str, timeout_seconds: float) -> Exposition:
    """Ask *base* for its /metrics."""
    answer = fetch.get(base, "/metrics", timeout_seconds)
    if answer.status != 200:
        raise SourceDown(f"answers /metrics with status {answer.status}")
    return read(answer.body.decode("utf-8", "replace"), answer.seconds)
