"""The documentation's tables are those of the program, and no page leads nowhere.

After a change, `WRITE_TABLES=1 pytest tests/unit/test_docs.py` writes them anew.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from autoheal import policy, wishes
from autoheal.config import Config
from autoheal.ledger import SCHEMA
from autoheal.metrics import Metrics
from certsync.metrics import Metrics as CertsyncMetrics
from sidecarkit import settings
from sidecarkit.metrics import AgentMetrics

ROOT = Path(__file__).parents[2]
README, AUTOHEAL, CERTSYNC = ROOT / "README.md", ROOT / "docs/autoheal.md", ROOT / "docs/certsync.md"


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, ["---"] * len(headings), *rows))


OPT_IN = (
    "`autoheal`",
    "`AUTOHEAL_CONTAINER_LABEL` renames it",
    "",
    "`true` opts in; `false`, `no`, `off`, `0` opt out, also where all are watched",
)


def labels_table() -> str:
    """Each label with the variable that sets its default for all containers."""
    variables = dict(settings.variables(Config))
    rows = [OPT_IN]
    for label, (field, _, meaning) in wishes.LABELS.items():
        variable = variables["default_stop_timeout_seconds" if field == "stop_seconds" else field]
        rows.append((f"`{label}`", f"`{variable.name}`", f"`{variable.default}`" if variable.default else "", meaning))
    return markdown(("label on a container", "for all", "default", "meaning"), rows)


def metrics_table(metrics: type[AgentMetrics]) -> str:
    """Each metric as it is exposed."""
    registry = CollectorRegistry()
    metrics(registry)  # type: ignore[call-arg]  # an agent's own class names its prefix itself
    collectors: dict[str, Any] = {names[0]: each for each, names in registry._collector_to_names.items()}
    rows = []
    for family in sorted(registry.collect(), key=lambda family: family.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in collectors[family.name]._labelnames)
        rows.append((f"`{name}`", family.type, labels, family.documentation))
    return markdown(("metric", "type", "labels", "meaning"), rows)


TABLES: list[tuple[Path, str, Callable[[], str]]] = [
    (README, "settings:begin autoheal", lambda: settings.table(Config)),
    (README, "labels:begin autoheal", labels_table),
    (AUTOHEAL, "metrics:begin autoheal", lambda: metrics_table(Metrics)),
    (CERTSYNC, "metrics:begin certsync", lambda: metrics_table(CertsyncMetrics)),
]


@pytest.mark.parametrize(("page", "mark", "table"), TABLES, ids=[mark for _, mark, _ in TABLES])
def test_a_table_is_the_one_that_the_program_gives(page: Path, mark: str, table: Callable[[], str]) -> None:
    text, kind = page.read_text(), mark.partition(":")[0]
    marked = re.compile(rf"(<!-- {mark} -->\n)(.*?)(<!-- {kind}:end -->)", re.DOTALL)
    if os.environ.get("WRITE_TABLES"):
        page.write_text(marked.sub(lambda found: f"{found[1]}{table()}\n{found[3]}", text))
        text = page.read_text()

    (found,) = marked.finditer(text)

    assert found[2] == table() + "\n"


def documented_words(page: Path, table: str) -> set[str]:
    """Read the first words of a table's rows."""
    text = page.read_text().partition(f"<!-- {table}:begin -->")[2].partition(f"<!-- {table}:end -->")[0]
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def words_in(module: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (ROOT / f"agents/autoheal/{module}.py").read_text()))


def test_every_standing_that_autoheal_can_tell_is_explained() -> None:
    waits = words_in("policy", r'Wait\("(\w+)"') | words_in("ward", r'Wait\("(\w+)"')
    donors = words_in("world", r'return "(\w+)", \w+')
    told = words_in("views", r'return \(?"(\w+)"(?:,| if)') | {"verifying", "starting", "unhealthy"}

    assert documented_words(AUTOHEAL, "standings") == waits | donors | told


def test_every_outcome_is_explained() -> None:
    outcomes = {policy.RECOVERED, policy.STILL_FAILING, policy.VANISHED, policy.REFUSED, policy.STOPPED}
    reasons = {policy.UNHEALTHY, policy.EXITED, policy.STALE, policy.FOLLOWS}
    decisions = {"heal", "notify", "wait", "skip", "hold", "give_up"}

    text = AUTOHEAL.read_text()

    assert not [word for word in outcomes | reasons | decisions if f"`{word}`" not in text]


def test_every_field_of_a_record_is_explained() -> None:
    columns = re.findall(r"\b([a-z_]+) (?:INTEGER|TEXT|REAL)", SCHEMA.partition("CREATE INDEX")[0])
    plain = {"id", "container_id", "container", "project", "service"}

    text = AUTOHEAL.read_text()

    assert not [column for column in columns if column not in plain and f"`{column}`" not in text]


def test_every_notice_is_explained() -> None:
    sent = words_in("notices", r'Notice\(\s*"(\w+)"')

    assert sent
    assert not [event for event in sent if f"| `{event}` |" not in AUTOHEAL.read_text()]


# The pages


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def anchor(heading: str) -> str:
    """Make a heading's anchor as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(((?!https?://)[^)\s]+)\)", page.read_text()):
        name, _, section = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if file.suffix == ".md" else []
        if not file.exists() or (section and section not in map(anchor, headings)):
            lost.append(target)
    assert not lost


def test_no_path_of_a_developers_machine_stands_in_the_repository() -> None:
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a checkout of git")
    machine = re.compile(rb"(?<![\w.])/(?:work|home/[a-z]|Users/[A-Za-z]|opt/devvenv)[/\w]")

    found = {
        name: line
        for name in done.stdout.split("\0")
        if name and (ROOT / name).is_file()
        for line in (ROOT / name).read_bytes().splitlines()
        if machine.search(line) and name != "tests/unit/test_docs.py"
    }

    assert not found


def test_the_map_names_every_module() -> None:
    named = set(re.findall(r"`(\w+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    folders = (ROOT / "agents/autoheal", ROOT / "common/sidecarkit")

    assert not [
        f"{folder.name}/{module.name}"
        for folder in folders
        for module in (*folder.glob("*.py"), *folder.glob("*/__init__.py"))
        if (module.parent.name if module.name == "__init__.py" else module.stem) not in named
    ]
