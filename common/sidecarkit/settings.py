"""One schema of settings per agent: a frozen dataclass whose fields are declared with `setting`.

A variable is declared once, with converter, default and help; `read` takes any mapping and reports every wrong
variable together, `table` prints the schema for people. After hynek/environ-config.
"""

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sidecarkit.errors import SettingsError

T = TypeVar("T")

LONGEST_SECONDS = 10 * 365 * 86400.0
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. An IPv6 host stands without its brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


# Converters: text to value. A ValueError says what is accepted; the value itself is named by `read`.


def text(value: str) -> str:
    """Take any text as it stands."""
    return value


def path(value: str) -> Path:
    """Take an absolute path: a daemon's working directory is nobody's choice."""
    if not value.startswith("/") or "\0" in value:
        raise ValueError("an absolute path")
    return Path(value)


def boolean(value: str) -> bool:
    """Read a truth value in any case: Compose v1 writes `True`."""
    folded = value.strip().lower()
    if folded not in _YES | _NO:
        raise ValueError("true or false (yes/no, on/off, 1/0)")
    return folded in _YES


def whole_number(minimum: int = 0, maximum: int | None = None) -> Callable[[str], int]:
    """Read a whole number within bounds, both inclusive."""
    bounds = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"

    def convert(value: str) -> int:
        stripped = value.strip()
        if not re.fullmatch(r"\d{1,9}", stripped, re.ASCII):
            raise ValueError(f"a whole number, {bounds}")
        number = int(stripped)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"a whole number, {bounds}")
        return number

    return convert


def duration(value: str) -> float:
    """Read a duration in seconds: `30s`, `10m`, `4h`, `7d`, `1h30m`, or a plain number of seconds."""
    stripped = value.strip().lower()
    if _NUMBER.fullmatch(stripped):
        seconds = float(stripped)
    elif stripped and not _DURATION.sub("", stripped):
        seconds = sum(float(count) * _UNIT_SECONDS[unit] for count, unit in _DURATION.findall(stripped))
    else:
        raise ValueError("a duration such as 30s, 10m, 4h or 7d, or plain seconds")
    if seconds > LONGEST_SECONDS:
        raise ValueError("a duration of ten years at most")
    return seconds


def positive_duration(value: str) -> float:
    """Read a duration longer than nothing, in seconds."""
    seconds = duration(value)
    if seconds <= 0:
        raise ValueError("a duration longer than 0s")
    return seconds


def choice(*accepted: str) -> Callable[[str], str]:
    """Read one of some words, in any case."""

    def convert(value: str) -> str:
        folded = value.strip().lower()
        if folded not in accepted:
            raise ValueError("one of " + ", ".join(accepted))
        return folded

    return convert


def words(value: str) -> tuple[str, ...]:
    """Read a list separated by commas or white space."""
    return tuple(word for word in re.split(r"[,\s]+", value) if word)


def listen_address(value: str) -> Address | None:
    """Read `host:port`; empty means: do not listen."""
    if not value.strip():
        return None
    host, _, port = value.strip().rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError("host:port such as 127.0.0.1:9180, or nothing to switch it off")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def http_url(value: str) -> str:
    """Take an http or https address."""
    if not re.match(r"https?://[^\s/]+", value):
        raise ValueError("an http:// or https:// address")
    return value


def urls(value: str) -> tuple[str, ...]:
    """Read addresses separated by white space, or by a comma before the next scheme: a comma may be part of one."""
    found = tuple(url for url in re.split(r"\s+|,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)|,\s+", value) if url)
    if not all(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", url) for url in found):
        raise ValueError("Apprise URLs, such as mailto://user:password@host, separated by commas or spaces")
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """One declared variable. A default of None leaves the field None when the variable is not set."""

    name: str
    convert: Callable[[str], Any]
    default: str | None
    help: str
    secret: bool
    empty_counts: bool


def setting(  # noqa: PLR0913 - a declaration, read by its keywords
    name: str,
    convert: Callable[[str], T],
    *,
    default: str | None = None,
    help: str,  # noqa: A002 - the word every option parser uses
    secret: bool = False,
    empty_counts: bool = False,
) -> Any:
    """Declare a field of a settings dataclass.

    An empty variable counts as not set, since Compose passes `${X:-}` as an empty one, unless *empty_counts*.
    A secret's value is never shown.
    """
    return dataclasses.field(metadata={"variable": Variable(name, convert, default, help, secret, empty_counts)})


def variables(schema: type) -> Iterator[tuple[str, Variable]]:
    """Yield (field name, variable) in order of declaration."""
    for field in dataclasses.fields(schema):
        yield field.name, field.metadata["variable"]


def read(schema: type[T], environ: Mapping[str, str]) -> T:
    """Build the settings, or raise SettingsError with every complaint at once."""
    values: dict[str, Any] = {}
    complaints: list[str] = []
    for field, variable in variables(schema):
        try:
            values[field] = _value(variable, environ)
        except ValueError as error:
            complaints.append(str(error))
    if complaints:
        raise SettingsError(tuple(complaints))
    return schema(**values)


def _value(variable: Variable, environ: Mapping[str, str]) -> Any:
    name, raw = _raw(variable, environ)
    if raw is None or (not raw and not variable.empty_counts):
        raw = variable.default
    if raw is None:
        return None
    try:
        return variable.convert(raw)
    except ValueError as error:
        shown = "(not shown)" if variable.secret else repr(raw)
        raise ValueError(f"{name}={shown}: expected {error}") from None


def _raw(variable: Variable, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Find the variable or the file that `X_FILE` names: (name to blame, value or None)."""
    name, file_name = variable.name, f"{variable.name}_FILE"
    direct, file = environ.get(name), environ.get(file_name)
    if not file:
        return name, direct
    if direct:
        raise ValueError(f"{name} and {file_name} are both set: expected one of them")
    try:
        content = Path(file).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"{file_name}={file!r}: expected a readable file ({reason})") from None
    if not content:
        raise ValueError(f"{file_name}={file!r}: expected a file that is not empty")
    return file_name, content


def unknown(schema: type, environ: Mapping[str, str], prefix: str) -> Iterator[str]:
    """Yield a warning for each variable with the agent's *prefix* that the schema does not know."""
    known = {variable.name for _, variable in variables(schema)}
    known |= {f"{name}_FILE" for name in known}
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known:
            nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
            yield f"{name} is not a setting" + (f"; did you mean {nearest[0]}?" if nearest else "")


def table(schema: type) -> str:
    """Print the schema as a Markdown table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for _, variable in variables(schema):
        default = "" if variable.default is None else f"`{variable.default}`" if variable.default else "(empty)"
        lines.append(f"| `{variable.name}` | {default} | {variable.help} |")
    return "\n".join(lines)
