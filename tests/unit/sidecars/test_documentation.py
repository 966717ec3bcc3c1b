"""The doctor's page has every finding as the program has it, and its map names every module.

After a change, `WRITE_TABLES=1 pytest tests/unit/sidecars/test_documentation.py` writes the table anew.
"""

import os
import re
from pathlib import Path

from sidecars.finding import RULES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/doctor.md"


def findings_table() -> str:
    rows = [f"| `{name}` | {rule.severity} | {rule.meaning} |" for name, rule in RULES.items()]
    return "\n".join(("| id | severity | meaning |", "| --- | --- | --- |", *rows))


def test_the_table_of_findings_is_the_one_that_the_program_has() -> None:
    marked = re.compile(r"(<!-- findings:begin doctor -->\n)(.*?)(<!-- findings:end -->)", re.DOTALL)
    if os.environ.get("WRITE_TABLES"):
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}{findings_table()}\n{found[3]}", PAGE.read_text()))

    (found,) = marked.finditer(PAGE.read_text())

    assert found[2] == findings_table() + "\n"


def test_every_finding_that_is_made_is_in_the_table_and_the_other_way_round() -> None:
    source = "".join(file.read_text() for file in (ROOT / "agents/sidecars").glob("*.py") if file.stem != "finding")

    assert {name for name in RULES if f'"{name}"' not in source} == set()
    assert set(re.findall(r'Finding\(\s*"(\w+)"', source)) <= set(RULES)


def test_the_map_names_every_module() -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "CONTRIBUTING.md").read_text()))

    assert not [
        module.stem for module in (ROOT / "agents/sidecars").glob("*.py") if module.stem not in named | {"__init__"}
    ]
