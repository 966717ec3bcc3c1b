"""Every alert says how bad it is, what happened, and where it is written what to do; and the pages know every alert.

After a change, `WRITE_TABLES=1 pytest tests/unit/monitoring/test_runbooks.py` writes the table of alerts anew.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGE, RUNBOOKS = ROOT / "docs/monitoring.md", ROOT / "docs/runbooks.md"
MARKED = re.compile(r"(<!-- alerts:begin -->\n)(.*?)(<!-- alerts:end -->)", re.DOTALL)

_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


def rules() -> list[dict[str, Any]]:
    files = sorted(ROOT.glob("monitoring/rules/*.yml"), reverse=True)
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def table() -> str:
    """Write a row for each rule."""
    rows = []
    for rule in rules():
        name, says = rule["alert"], _LABEL.sub(lambda label: label[1].upper(), rule["annotations"]["summary"])
        after, severity = rule.get("for", "at once"), rule["labels"]["severity"]
        rows.append(f"| [{name}](runbooks.md#{name.lower()}) | {says} | {after} | {severity} |\n")
    return "".join(rows)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_all_that_who_is_woken_by_it_needs(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".") or rule["annotations"]["summary"].endswith(").")
    assert len(rule["annotations"]["description"]) > len(rule["annotations"]["summary"])
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_there_is_a_runbook_for_each_alert_and_for_no_other() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)

    assert headings == list(dict.fromkeys(rule["alert"] for rule in rules()))


def test_each_runbook_says_what_it_means_what_to_look_at_and_how_to_mend_it() -> None:
    for section in RUNBOOKS.read_text().split("\n## ")[1:]:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Means", "Look", "Mend"], section[:20]


def test_the_pages_table_is_that_of_the_rules() -> None:
    text = PAGE.read_text()
    if os.environ.get("WRITE_TABLES"):
        PAGE.write_text(MARKED.sub(lambda found: f"{found[1]}{table()}{found[3]}", text))
        text = PAGE.read_text()

    (found,) = MARKED.finditer(text)

    assert found[2] == table()
    assert f"four dashboards and {len(rules())} alerts" in text
