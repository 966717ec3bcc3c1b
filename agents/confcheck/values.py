"""The map of placeholders: a file that gives each a string, a list of strings, or the name of a secret's file."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confcheck import rules
from confcheck.placeholder import NAME, TOKEN, Value, Values
from sidecarkit.errors import SettingsError, SidecarError


class NotRendered(SidecarError):
    """Nothing was written. Holds one complaint a line; none says what a value is."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


def read(path: Path) -> Values:
    """Read the map at *path*: YAML, or JSON or TOML by its name.

    Raises SettingsError for what is no map, and NotRendered where a value is missing, empty or itself a
    placeholder.
    """
    document = _document(path)
    if not isinstance(document, dict):
        raise SettingsError((f"{path}: expected names with their values",))
    wrong = [complaint for name, value in document.items() for complaint in _complaints(str(path), name, value)]
    names = [_name(name) for name in document if isinstance(name, str)]
    twice = sorted({each for each in names if names.count(each) > 1})
    wrong += [f"{path}: {name} stands there twice" for name in twice]
    if wrong:
        raise SettingsError(tuple(wrong))
    values: dict[str, Value] = {}
    lacking = []
    for name, given in document.items():
        try:
            values[_name(name)] = _value(path, given)
        except ValueError as error:
            lacking.append(f"{path}: {_name(name)}: {error}")
    if lacking:
        raise NotRendered(lacking)
    return values


def _document(path: Path) -> Any:
    readers: dict[str, Callable[[str], Any]] = {".json": json.loads, ".toml": tomllib.loads}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        return rules.read_yaml(path)
    try:
        return reader(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except (ValueError, RecursionError):  # their text repeats what stands there
        reason = f"not {path.suffix.lower()[1:].upper()} in UTF-8"
    raise SettingsError((f"{path}: {reason}",))


def _name(name: str) -> str:
    """Take `__NAME__` for `NAME`: both are what people write."""
    return name[2:-2] if len(name) > 4 and name.startswith("__") and name.endswith("__") else name


def _complaints(origin: str, name: object, value: object) -> list[str]:
    if not isinstance(name, str) or not NAME.fullmatch(_name(name)):
        return [f"{origin}: {name}: expected a name in capitals, digits and single underscores"]
    accepted = (
        value is None
        or isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(each, str) for each in value))
        or (isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str))
    )
    if accepted:
        return []
    return [f"{origin}: {_name(name)}: expected a string, a list of strings, or {{file: PATH}}; numbers in quotes"]


def _value(origin: Path, given: Any) -> Value:
    """Raise ValueError where there is nothing, or nothing yet."""
    if isinstance(given, dict):
        given = _secret(origin.parent / given["file"])
    value: Value = tuple(given) if isinstance(given, list) else given or ""
    if not value or not all(value):
        raise ValueError("has no value, or an empty one")
    if any(TOKEN.search(each) for each in ([value] if isinstance(value, str) else value)):
        raise ValueError("has a placeholder for a value")  # a second run would fill that
    return value


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise ValueError(f"{path} is not text in UTF-8") from None
