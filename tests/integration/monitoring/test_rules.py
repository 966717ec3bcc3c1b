"""The alert rules fire when they should and not otherwise, and there is no number in them that a test does not hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import prometheus
from lab.prometheus import MONITORING

FILES = sorted(MONITORING.glob("rules/*.yml"))
# A string, a name, a duration or a number. Only the latter two are thresholds.
_WORD = re.compile(r'(?P<other>"[^"]*"|[A-Za-z_:][\w:]*)|(?P<duration>\d+[smhd])|(?P<number>\d+(?:\.\d+)?)')
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one number changed. *field* is `expr` or `for`; *at* counts rules of the same name."""

    alert: str
    at: int
    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.alert}[{self.at}].{self.field}: {self.text}"


def read(file: Path) -> Any:
    """Read YAML with every value as it is written: `0x20`, twenty-one 0, is no number in base 16."""
    return yaml.load(file.read_text(), yaml.BaseLoader)


def rules(file: Path) -> list[dict[str, Any]]:
    return [rule for group in read(file)["groups"] for rule in group["rules"]]


def alerts() -> list[tuple[Path, str]]:
    return [(file, name) for file in FILES for name in dict.fromkeys(rule["alert"] for rule in rules(file))]


def mutants(file: Path, alert: str) -> Iterator[Mutant]:
    """Change each number of the rules of this name a little: one up, one down."""
    for at, rule in enumerate(rule for rule in rules(file) if rule["alert"] == alert):
        for field in ("expr", "for"):
            text = rule.get(field, "")
            for found in _WORD.finditer(text):
                for other in _neighbours(found):
                    yield Mutant(alert, at, field, f"{text[: found.start()]}{other}{text[found.end() :]}")


def _neighbours(found: "re.Match[str]") -> tuple[str, ...]:
    if duration := found["duration"]:
        seconds = int(duration[:-1]) * _SECONDS[duration[-1]]
        return f"{seconds * 3 // 4}s", f"{seconds * 5 // 4}s"
    if number := found["number"]:
        step = 1 if "." not in number and int(number) < 20 else float(number) / 10
        return f"{float(number) - step:g}", f"{float(number) + step:g}"
    return ()


def judge(folder: Path, file: Path, alert: str, mutant: Mutant | None = None) -> str:
    """Run the tests of one alert, on its rules alone; returns what promtool complains of."""
    only = [rule for rule in rules(file) if rule["alert"] == alert]
    if mutant:
        only[mutant.at][mutant.field] = mutant.text
    tests = read(MONITORING / "tests" / file.name)
    for test in tests["tests"]:
        test["alert_rule_test"] = [each for each in test["alert_rule_test"] if each["alertname"] == alert]
    tests["tests"] = [test for test in tests["tests"] if test["alert_rule_test"]]
    tests["rule_files"] = ["rules.yml"]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": only}]}))
    (folder / "tests.yml").write_text(yaml.safe_dump(tests))
    done = prometheus.run("promtool", "test", "rules", folder / "tests.yml")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_rules_are_without_fault() -> None:
    done = prometheus.run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *FILES)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_fires_in_time_and_recovers() -> None:
    done = prometheus.run("promtool", "test", "rules", *sorted(MONITORING.glob("tests/*.yml")))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "alert"), alerts(), ids=[alert for _, alert in alerts()])
def test_no_number_of_a_rule_can_change_unseen(file: Path, alert: str, tmp_path: Path) -> None:
    assert judge(tmp_path, file, alert) == ""

    complaints = {str(mutant): judge(tmp_path, file, alert, mutant) for mutant in mutants(file, alert)}

    # `got:` stands where an alert was not as expected; a rule that cannot be read would complain otherwise.
    assert not [mutant for mutant, complaint in complaints.items() if "got:" not in complaint]


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_each_alert_is_tested_before_at_and_after_its_time(file: Path) -> None:
    tests = read(MONITORING / "tests" / file.name)["tests"]
    checks = list(chain.from_iterable(test["alert_rule_test"] for test in tests))

    for alert in {rule["alert"] for rule in rules(file)}:
        seen = [bool(check.get("exp_alerts")) for check in checks if check["alertname"] == alert]
        fires = seen.index(True)
        assert False in seen[:fires], f"{alert}: not yet"
        assert False in seen[fires:], f"{alert}: recovers"
