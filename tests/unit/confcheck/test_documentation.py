"""The tables of docs/confcheck.md are those of the program. `WRITE_TABLES=1` writes them anew."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from confcheck import notices
from confcheck.config import Config
from confcheck.finding import SEVERITIES, Finding
from confcheck.metrics import Metrics
from confcheck.rules import KINDS
from lab.confcheck import SHIPPED
from sidecarkit import settings

PAGE = Path(__file__).parents[3] / "docs/confcheck.md"


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * len(headings), *rows))


def rules_table() -> str:
    rows = [
        (f"`{each.id}`", each.severity, each.message.replace("{", "`{").replace("}", "}`"), each.reason, each.mend)
        for each in SHIPPED.rules.values()
    ]
    return markdown(("rule", "severity", "what is said", "why it is bad", "what mends it"), rows)


def metrics_table() -> str:
    registry = CollectorRegistry()
    Metrics(registry)
    collectors: dict[str, Any] = {names[0]: each for each, names in registry._collector_to_names.items()}
    rows = []
    for family in sorted(registry.collect(), key=lambda family: family.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in collectors[family.name]._labelnames)
        rows.append((f"`{name}`", family.type, labels, family.documentation))
    return markdown(("metric", "type", "labels", "meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "rules": rules_table,
    "settings": lambda: settings.table(Config),
    "metrics": metrics_table,
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_the_one_that_the_program_gives(kind: str) -> None:
    table, text = TABLES[kind](), PAGE.read_text()
    marked = re.compile(rf"(<!-- {kind}:begin confcheck -->\n)(.*?)(<!-- {kind}:end -->)", re.DOTALL)
    if os.environ.get("WRITE_TABLES"):
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}{table}\n{found[3]}", text))
        text = PAGE.read_text()

    (found,) = marked.finditer(text)

    assert found[2] == table + "\n"


def test_every_kind_of_rule_and_every_severity_is_explained() -> None:
    text = PAGE.read_text()
    assert not [kind for kind in KINDS if kind != "reader" and f"| `{kind}` |" not in text]
    assert not [severity for severity in SEVERITIES if f"`{severity}`:" not in text]


def test_every_notice_is_explained() -> None:
    sent = {notices.found([Finding("f", 1, "r", "error", "m")]).event, notices.clean().event}
    assert not [event for event in sent if f"| `{event}` |" not in PAGE.read_text()]
