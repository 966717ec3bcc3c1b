"""The page in a real browser: in light and dark, on a telephone, without script, with nothing to complain about."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import npm, scene
from lab.stats import PASSWORD, USER

SCRIPT = Path(__file__).parents[2] / "lab" / "browser.js"
VIEWS = ["light", "dark", "light-360", "dark-360"]
VERDICT = "6 problems: rspamd down (no answer within 2 s), "


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Have it looked at once; SIDECARS_PICTURES names a folder in which the pictures stay."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed here")
        pytest.skip("chromium is not installed here")
    pictures = os.environ.get("SIDECARS_PICTURES") or str(tmp_path_factory.mktemp("pictures"))
    environ = {**os.environ, "NODE_PATH": str(npm.install("browser") / "node_modules"), "CHROMIUM": chromium}
    with scene.shown() as address:
        done = subprocess.run(
            ["node", str(SCRIPT), address, USER, PASSWORD, pictures],
            env=environ, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("view", VIEWS)
def test_title_and_headline_are_the_verdict(seen: dict[str, Any], view: str) -> None:
    assert seen[view]["status"] == 200
    assert seen[view]["title"].startswith(VERDICT)
    assert seen[view]["verdict"].strip() == seen[view]["title"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_section_can_be_read(seen: dict[str, Any], view: str) -> None:
    text, at = seen[view]["text"], 0
    for words in (
        "Problems", "Containers", "haraka", "unhealthy, 4 failed in a row", "Services", "MongoDB", "operations/s 34.2",
        "OpenSearch", "not used", "Mail", "7.4", "24.3 %", "Certificates", "zonemta", "source torn", "Bans",
        "1\u202f207 active", "203.0.113.66", "2001:db8:1234:5678::/64",
    ):  # fmt: skip
        at = text.find(words, at)
        assert at >= 0, words


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_to_complain_about(seen: dict[str, Any], view: str) -> None:
    assert seen[view]["violations"] == []
    assert seen[view]["doubtful"] == []  # nor anything whose contrast it could not judge


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_breaks_the_content_policy_and_the_console_is_silent(seen: dict[str, Any], view: str) -> None:
    assert (seen[view]["reports"], seen[view]["complaints"]) == ([], [])


@pytest.mark.parametrize(("view", "width"), [("light", 1280), ("dark", 1280), ("light-360", 360), ("dark-360", 360)])
def test_nobody_has_to_scroll_sideways(seen: dict[str, Any], view: str, width: int) -> None:
    assert (seen[view]["width"], seen[view]["wide"]) == (width, [])


@pytest.mark.parametrize("view", VIEWS)
def test_a_name_full_of_markup_is_shown_as_text(seen: dict[str, Any], view: str) -> None:
    assert seen[view]["text"].count(scene.HOSTILE) >= 2
    assert seen[view]["scripts"] == 1  # our own


def test_it_can_be_paused_and_says_when_it_is_old(seen: dict[str, Any]) -> None:
    assert seen["pause"] == {"pressed": "true", "asked": False, "lost": "No answer: what is shown is old."}


def test_without_script_all_of_it_is_there_but_the_button(seen: dict[str, Any]) -> None:
    assert "unhealthy, 4 failed in a row" in seen["withoutScript"]["text"]
    assert "203.0.113.66" in seen["withoutScript"]["text"]
    assert seen["withoutScript"]["controls"] is False


def test_without_a_password_a_browser_sees_nothing(seen: dict[str, Any]) -> None:
    assert "haraka" not in seen["withoutPassword"]["text"]
