"""Reads a YAML file strictly and gathers every mistake, each with its path in the file."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")


class Complaints(Exception):
    """All that is wrong with the file, each as `path: found, expected`."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = tuple(complaints)


def load(text: str) -> Any:
    """Parse YAML. Raises `Complaints` with line and column."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that also refuses a key given twice
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Complaints([f"{where}not YAML: {getattr(error, 'problem', None) or error}"]) from None


class _Loader(yaml.SafeLoader):
    """YAML where a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


class Reader:
    """Reads values and gathers complaints; what is wrong reads as None, so that the rest is looked at too."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def complain(self, path: str, expected: str, found: Any = ...) -> None:
        shown = "" if found is ... else f"found {_shown(found)}, "
        self.complaints.append(f"{path or 'the file'}: {shown}expected {expected}")

    def mapping(self, value: Any, path: str, known: set[str], required: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.complain(path, f"a mapping with {', '.join(sorted(known))}", value)
            return {}
        for key in value:
            if key not in known:
                self.complain(f"{path}.{key}".lstrip("."), f"one of {', '.join(sorted(known))}")
        for key in required:
            if key not in value:
                self.complain(f"{path}.{key}", "a value, it is missing")
        return value

    def named(self, value: Any, path: str) -> Iterator[tuple[str, Any]]:
        if value is None:
            return
        if not isinstance(value, dict):
            self.complain(path, "a mapping from names", value)
            return
        for name, inner in value.items():
            if isinstance(name, str) and NAME.fullmatch(name):
                yield name, inner
            else:
                self.complain(f"{path}.{name}", "a name of letters, digits, '_', '.' and '-'")

    def converted(self, value: Any, path: str, convert: Callable[[str], T]) -> T | None:
        text = self.text(value, path)
        if text is None:
            return None
        try:
            return convert(text)
        except ValueError as error:
            self.complain(path, str(error), value)
            return None

    def text(self, value: Any, path: str) -> str | None:
        if value is not None and (not isinstance(value, str) or not value):
            self.complain(path, "text", value)
            return None
        return value

    def required_text(self, value: Any, path: str) -> str:
        if value is None:
            self.complain(path, "text", value)
        return self.text(value, path) or ""

    def path(self, value: Any, path: str) -> str | None:
        if value is not None and (not isinstance(value, str) or not re.fullmatch(r"/[^\0]*[^/\0]", value)):
            self.complain(path, "an absolute path", value)
            return None
        return value

    def number(self, value: Any, path: str) -> int | None:
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 3600):
            self.complain(path, "a whole number of seconds, 0 to 3600", value)
            return None
        return value

    def boolean(self, value: Any, path: str) -> bool:
        if value is not None and not isinstance(value, bool):
            self.complain(path, "true or false", value)
        return value is True

    def one_of(self, value: Any, path: str, accepted: tuple[str, ...]) -> str:
        if value not in accepted:
            self.complain(path, f"one of {', '.join(accepted)}", value)
            return accepted[0]
        return str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
