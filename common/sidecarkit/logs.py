r"""Logs are facts: an event in snake case and the past tense, everything variable as a key.

JSON lines on stdout unless that is a terminal. The standard library's logging is all that is underneath: structlog
would read the same but brings asyncio with it, 5.5 MB in each agent of a budget of 45.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

Format = Literal["json", "console"]


class Log:
    """A logger whose messages are events and whose arguments are facts."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, /, **facts: Any) -> None:
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, /, **facts: Any) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, /, **facts: Any) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, /, **facts: Any) -> None:
        self._write(logging.ERROR, event, facts)

    def exception(self, event: str, /, **facts: Any) -> None:
        """Log an error with the traceback of the exception at hand."""
        self._logger.error(event, exc_info=True, extra={"facts": facts})  # noqa: LOG014 - the caller is in a handler

    def _write(self, level: int, event: str, facts: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"facts": facts})


def get(name: str) -> Log:
    """Name a log; usually the agent's own name."""
    return Log(name)


def configure(level: str, log_format: str | None) -> None:
    """Send all logs to stdout: *level* a name such as `info`; no *format* means JSON unless stdout is a terminal."""
    console = log_format == "console" or (log_format is None and sys.stdout.isatty())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    # Our own facts only: Apprise and urllib3 log addresses with the tokens in them.
    handler.addFilter(lambda record: hasattr(record, "facts"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no byte of a fact can break the line."""

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": f"{_stamp(record.created, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "agent": record.name,
            "event": record.getMessage(),
        }
        line = head | getattr(record, "facts", {}) | head  # first to be read, and not to be replaced by a fact
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return encoded(line)


class ConsoleFormatter(logging.Formatter):
    """For people: time, level, event, then the facts as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {key}={_readable(value)}" for key, value in getattr(record, "facts", {}).items())
        line = f"{_stamp(record.created, '%H:%M:%S')} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def encoded(facts: Mapping[str, Any]) -> str:
    """Encode as a JSON object; a value that JSON does not know, such as NaN or a path, goes in as text."""
    try:
        return json.dumps(facts, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # a key that is no text, NaN, a list within itself
        return json.dumps({str(key): value if _is_plain(value) else str(value) for key, value in facts.items()})


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _stamp(at: float, layout: str) -> str:
    return time.strftime(layout, time.gmtime(at))


def _readable(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value) if _is_plain(value) else str(value)
    return shown if shown.isprintable() and shown and " " not in shown else json.dumps(shown)
