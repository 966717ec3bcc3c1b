"""Every agent has the metrics that it promises: by these names, of these kinds, with these labels and no others."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lab import expositions

ROOT = Path(__file__).parents[3]
AGENTS = list(expositions.PROMISED)
DOCUMENTED = [agent for agent in AGENTS if (ROOT / f"docs/{agent}.md").exists()]
NEVER = {"ip", "address", "client", "source_ip", "path", "file", "user", "mail", "id", "container_id"}


def exposed(agent: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give an agent's metrics: kind and labels by name."""
    registry = CollectorRegistry()
    importlib.import_module(f"{agent}.metrics").Metrics(registry)
    collectors: dict[str, Any] = {names[0]: each for each, names in registry._collector_to_names.items()}
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            tuple(collectors[family.name]._labelnames),
        )
        for family in registry.collect()
    }


@pytest.mark.parametrize("agent", AGENTS)
def test_what_is_promised_is_exposed_to_the_letter(agent: str) -> None:
    found = exposed(agent)

    for promise in expositions.promises(agent):
        kind, labels = found.get(promise.name, ("", ()))
        assert (promise.name, kind, set(labels)) == (promise.name, promise.kind, set(promise.labels))


@pytest.mark.parametrize("agent", AGENTS)
def test_every_name_begins_with_the_agents_and_no_label_could_hold_what_a_stranger_chooses(agent: str) -> None:
    for name, (_, labels) in exposed(agent).items():
        assert re.fullmatch(rf"{agent}_[a-z0-9_]+", name)
        assert not NEVER & set(labels)


@pytest.mark.parametrize("agent", AGENTS)
def test_errors_are_counted_from_0(agent: str) -> None:
    registry = CollectorRegistry()
    importlib.import_module(f"{agent}.metrics").Metrics(registry)

    counted = {
        sample.labels["op"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"{agent}_errors_total"
    }

    assert counted
    assert set(counted.values()) == {0}


@pytest.mark.parametrize("agent", DOCUMENTED)
def test_the_agents_page_lists_every_metric(agent: str) -> None:
    page = (ROOT / f"docs/{agent}.md").read_text()

    assert not [name for name in exposed(agent) if f"`{name}`" not in page]
