"""Logs: one valid JSON object on one line, whatever the facts are."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecarkit import logs

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.tuples(st.integers(), st.text()) | st.binary(), inner)
    ),
    max_leaves=10,
)


def strictly(text: str) -> dict[str, Any]:
    """Decode JSON as others do: NaN and Infinity are Python's own invention."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


class Written:
    """A log named demo whose output is at hand."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._buffer = io.StringIO()
        handler = logging.StreamHandler(self._buffer)
        handler.setFormatter(formatter)
        logger = logging.getLogger("demo")
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
        self.log = logs.get("demo")

    @property
    def text(self) -> str:
        return self._buffer.getvalue()


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@given(st.dictionaries(st.text(), ANYTHING))
def test_any_facts_give_one_valid_json_line(facts: dict[str, Any]) -> None:
    written = Written(logs.JsonFormatter())

    written.log.info("fact_seen", **facts)

    line, rest = written.text.split("\n", 1)
    assert rest == ""
    assert line.isascii()
    assert strictly(line)["event"] == "fact_seen"


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), ANYTHING))
def test_any_facts_give_one_printable_line_on_a_console(facts: dict[str, Any]) -> None:
    written = Written(logs.ConsoleFormatter())

    written.log.info("fact_seen", **facts)

    line, rest = written.text.split("\n", 1)
    assert rest == ""
    assert line.isprintable()


def test_a_line_says_when_how_grave_who_and_what() -> None:
    written = Written(logs.JsonFormatter())
    before = datetime.now(UTC).replace(tzinfo=None)

    written.log.warning("certificate_refused", target="haraka", reason="expired", days=-1.5)

    line = strictly(written.text)
    stamp = line.pop("time")
    assert abs((datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ") - before).total_seconds()) < 5  # noqa: DTZ007
    assert line == {
        "level": "warning",
        "agent": "demo",
        "event": "certificate_refused",
        "target": "haraka",
        "reason": "expired",
        "days": -1.5,
    }


def test_a_fact_cannot_take_the_place_of_what_every_line_says() -> None:
    written = Written(logs.JsonFormatter())

    written.log.info("fact_seen", time=1, level=2, agent=3, event=4, self=5)

    line = strictly(written.text)
    assert (line["level"], line["agent"], line["event"], line["self"]) == ("info", "demo", "fact_seen", 5)


def test_facts_that_json_does_not_know_are_written_as_text() -> None:
    written = Written(logs.JsonFormatter())
    endless: list[Any] = []
    endless.append(endless)

    written.log.info("fact_seen", path=Path("/x"), nan=float("nan"), pair={(1, 2): 3}, endless=endless, plain=[1])

    line = strictly(written.text)
    assert (line["path"], line["nan"], line["pair"], line["plain"]) == ("/x", "nan", "{(1, 2): 3}", [1])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_in_json_is_written_as_text(number: float) -> None:
    written = Written(logs.JsonFormatter())

    written.log.info("fact_seen", number=number, plain=1.5)

    line = strictly(written.text)
    assert (line["number"], line["plain"]) == (str(number), 1.5)


def test_below_its_level_a_log_is_silent() -> None:
    written = Written(logs.JsonFormatter())

    written.log.debug("fact_seen")

    assert written.text == ""


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.ConsoleFormatter()])
def test_an_exception_is_logged_with_its_traceback(formatter: logging.Formatter) -> None:
    written = Written(formatter)

    try:
        _ = 1 // 0
    except ZeroDivisionError:
        written.log.exception("agent_crashed", at="start")

    assert "agent_crashed" in written.text
    assert "ZeroDivisionError: " in written.text
    assert "start" in written.text


def test_a_console_line_quotes_what_would_not_read_well() -> None:
    written = Written(logs.ConsoleFormatter())

    written.log.error("heal_failed", container="haraka", output="two words", bell="\a", nothing="", n=3)

    assert written.text[9:] == (
        'error   heal_failed container=haraka output="two words" bell="\\u0007" nothing="" n=3\n'
    )


@pytest.mark.usefixtures("restored_logging")
def test_without_a_terminal_the_log_is_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning", None)
    logs.get("demo2").warning("fact_seen")
    logs.get("demo2").info("fact_unseen")

    assert [strictly(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["fact_seen"]


@pytest.mark.usefixtures("restored_logging")
def test_the_format_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "console")
    logs.get("demo2").info("fact_seen", n=1)

    assert capsys.readouterr().out.endswith("info    fact_seen n=1\n")


@pytest.mark.usefixtures("restored_logging")
def test_a_terminal_gets_the_readable_form(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    logs.configure("info", None)
    logs.get("demo2").info("fact_seen")

    assert capsys.readouterr().out.endswith("info    fact_seen\n")


@pytest.mark.usefixtures("restored_logging")
def test_what_libraries_log_is_not_passed_on_since_it_holds_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    logging.getLogger("apprise").error("Unparseable URL %s", "tgram://token")
    logs.get("demo2").exception("agent_crashed")

    assert [strictly(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["agent_crashed"]
