"""The tables of logban's page are those of the program, and its map names every module.

After a change, `WRITE_TABLES=1 pytest tests/unit/logban/test_documentation.py` writes them anew.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from logban.config import Config
from logban.metrics import Metrics
from sidecarkit import settings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/logban.md"


def metrics_table() -> str:
    registry = CollectorRegistry()
    Metrics(registry)
    collectors: dict[str, Any] = {names[0]: each for each, names in registry._collector_to_names.items()}
    lines = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in sorted(registry.collect(), key=lambda family: family.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in collectors[family.name]._labelnames)
        lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("kind", "table"),
    [("settings", lambda: settings.table(Config)), ("metrics", metrics_table)],
    ids=["settings", "metrics"],
)
def test_a_table_is_the_one_that_the_program_gives(kind: str, table: Callable[[], str]) -> None:
    text = PAGE.read_text()
    marked = re.compile(rf"(<!-- {kind}:begin logban -->\n)(.*?)(<!-- {kind}:end -->)", re.DOTALL)
    if os.environ.get("WRITE_TABLES"):
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}{table()}\n{found[3]}", text))
        text = PAGE.read_text()

    (found,) = marked.finditer(text)

    assert found[2] == table() + "\n"


def test_the_map_names_every_module() -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "CONTRIBUTING.md").read_text()))

    assert not [
        module.stem for module in (ROOT / "agents/logban").glob("*.py") if module.stem not in named | {"__init__"}
    ]
