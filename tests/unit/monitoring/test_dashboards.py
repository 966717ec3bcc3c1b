"""The dashboards, without a Grafana: whole, readable by its own library, and laid out without overlap."""

import json
import re
import runpy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "monitoring/grafana"
FILES = sorted(GRAFANA.glob("dashboards/*.json"))
TITLES = {"WildDuck Host", "WildDuck Containers", "WildDuck Services", "WildDuck Sidecars"}


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in FILES]


@pytest.fixture(params=FILES, ids=[file.stem for file in FILES])
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(json.loads(request.param.read_text()))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """List the panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_files_are_those_that_the_script_makes() -> None:
    made = runpy.run_path(str(ROOT / "scripts/dashboards.py"))["files"]()

    assert made == {file: file.read_text() for file in FILES}, "run scripts/dashboards.py"


def test_all_four_are_there_each_with_an_address_of_its_own() -> None:
    found = dashboards()

    assert {each["title"] for each in found} == TITLES
    assert len({each["uid"] for each in found}) == len(TITLES)


def test_grafanas_own_library_reads_it(dashboard: dict[str, Any]) -> None:
    read = Dashboard.from_json(dashboard)

    assert (read.uid, read.title, len(read.panels or [])) == (
        dashboard["uid"],
        dashboard["title"],
        len(dashboard["panels"]),
    )


def test_it_is_new_to_every_grafana_and_keeps_its_address(dashboard: dict[str, Any]) -> None:
    assert dashboard["id"] is None
    assert re.fullmatch(r"wildduck-[a-z]+", dashboard["uid"])


def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    placed = dashboard["panels"]

    assert len({panel["id"] for panel in placed}) == len(placed)
    for one, other in combinations([panel["gridPos"] for panel in placed], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in placed)


def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard: dict[str, Any]) -> None:
    assert all(panel["title"] for panel in dashboard["panels"])
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels(dashboard))
    assert all(panel["targets"] for panel in panels(dashboard))


def test_every_panel_asks_the_datasource_that_is_provisioned(dashboard: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]

    asked = [panel["datasource"] for panel in panels(dashboard)]
    asked += [target["datasource"] for panel in panels(dashboard) for target in panel["targets"]]

    assert all(each == {"type": source["type"], "uid": source["uid"]} for each in asked)


def test_the_dashboards_are_provisioned_and_not_to_be_edited_in_the_browser() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/wildduck.yml").read_text())["providers"]

    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)
