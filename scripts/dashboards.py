#!/usr/bin/env python3
"""Write monitoring/grafana/dashboards/*.json from monitoring/grafana/dashboards.yml.

Usage: .venv/bin/python scripts/dashboards.py

Where each panel lies, and all else that Grafana wants to have said of it, is worked out here.
"""

import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "monitoring/grafana"
DATASOURCE = {"type": "prometheus", "uid": "wildduck-prometheus"}
GRID_WIDTH = 24

# From which value on a figure has which colour; the first from the beginning.
COLOURS: dict[str, list[tuple[float | None, str]]] = {
    "plain": [(None, "text")],
    "up": [(None, "red"), (1.0, "green")],
    "none is well": [(None, "green"), (1.0, "red")],
    "filling": [(None, "green"), (0.8, "orange"), (0.9, "red")],
    "days left": [(None, "red"), (3 * 86400.0, "orange"), (14 * 86400.0, "green")],
    "age": [(None, "green"), (120.0, "orange"), (300.0, "red")],
}
KINDS = {"stat": "stat", "bars": "bargauge", "graph": "timeseries"}
SIZES = {"stat": (4, 4), "bars": (8, 7), "graph": (8, 7)}

_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": _LAST, "colorMode": "background", "graphMode": "none", "textMode": "auto"},
    "bars": {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic"},
    "graph": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


def dashboard(page: dict[str, Any]) -> dict[str, Any]:
    """Lay out one page."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in page["rows"]:
        place = {"x": 0, "y": y, "w": GRID_WIDTH, "h": 1}
        headline = {"type": "row", "title": row["row"], "collapsed": False, "panels": [], "gridPos": place}
        panels.append({"id": len(panels) + 1, **headline})
        y += 1
        x = height = 0
        for told in row["panels"]:
            made = panel(told)
            if x + made["gridPos"]["w"] > GRID_WIDTH:
                x, y, height = 0, y + height, 0
            made["gridPos"] |= {"x": x, "y": y}
            panels.append({"id": len(panels) + 1, **made})
            x, height = x + made["gridPos"]["w"], max(height, made["gridPos"]["h"])
        y += height
    to_the_others = {"type": "dashboards", "tags": ["wildduck"], "title": "WildDuck", "asDropdown": True}
    return {
        "id": None,
        "uid": page["uid"],
        "title": page["title"],
        "description": page["description"],
        "tags": ["wildduck"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [to_the_others | {"includeVars": False, "keepTime": True}],
        "panels": panels,
    }


def panel(told: dict[str, Any]) -> dict[str, Any]:
    """Make a panel, without its place."""
    kind = next(iter(told))
    width, height = SIZES[kind]
    queries = told.get("queries") or {"": told["query"]}
    return {
        "type": KINDS[kind],
        "title": told[kind],
        "description": told.get("description", ""),
        "datasource": DATASOURCE,
        "gridPos": {"w": told.get("width", width), "h": told.get("height", height)},
        "fieldConfig": {"defaults": _field(kind, told), "overrides": []},
        "options": _OPTIONS[kind],
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": series,
                "instant": kind != "graph",
                "range": kind == "graph",
            }
            for at, (series, expression) in enumerate(queries.items())
        ],
    }


def _field(kind: str, told: dict[str, Any]) -> dict[str, Any]:
    """Say how values are shown."""
    steps = [{"value": value, "color": colour} for value, colour in COLOURS[told.get("colours", "plain")]]
    defaults: dict[str, Any] = {
        "unit": told["unit"],
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "palette-classic" if kind == "graph" else "thresholds"},
        "mappings": [
            {"type": "value", "options": {str(value): {"text": word, "index": value}}}
            for value, word in enumerate(told["words"].split(" or ") if "words" in told else [])
        ],
    }
    if kind == "graph":
        # A gap is a gap: a line through it would say what nobody measured.
        defaults["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
        defaults["min"] = 0
    if "top" in told:
        defaults |= {"min": 0, "max": told["top"]}
    return defaults


def files() -> dict[Path, str]:
    """Give the text of each dashboard's file."""
    pages = yaml.safe_load((FOLDER / "dashboards.yml").read_text())
    return {
        FOLDER / f"dashboards/{name}.json": json.dumps(dashboard(page), indent=2) + "\n" for name, page in pages.items()
    }


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text)
