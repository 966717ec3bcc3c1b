"""Checks a document against a JSON schema and names every error at once, each with its place.

The part of JSON Schema (draft 2020-12) that our own schemas use: type, enum, required, properties,
additionalProperties, items, minItems, minimum, exclusiveMinimum, maximum, pattern and $ref within the file.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def load(package: str, name: str) -> dict[str, Any]:
    """Load the schema that *package* ships as ``schemas/NAME.json``."""
    schema: dict[str, Any] = json.loads((resources.files(package) / "schemas" / f"{name}.json").read_text())
    return schema


def errors(document: object, schema: dict[str, Any]) -> list[str]:
    """Name everything in *document* that *schema* does not allow, as ``place: what is wrong``."""
    return [f"{place or 'document'}: {problem}" for place, problem in _check(document, schema, schema, "")]


def _check(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "enum" in schema and value not in schema["enum"]:
        yield place, f"{value!r} is none of {', '.join(map(str, schema['enum']))}"
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield place, f"expected {' or '.join(kinds)}, found {value!r}"
        return
    if isinstance(value, dict):
        yield from _check_object(value, schema, root, place)
    elif isinstance(value, list):
        yield from _check_array(value, schema, root, place)
    elif isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield place, f"{value!r} does not look like {schema.get('description', schema['pattern'])}"
    elif not isinstance(value, bool):
        yield from _check_number(value, schema, place)


def _is(value: object, kind: str) -> bool:
    """JSON knows booleans and numbers apart; Python's bool is an int."""
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _check_object(
    value: dict[Any, Any], schema: dict[str, Any], root: dict[str, Any], place: str
) -> Iterator[tuple[str, str]]:
    for name in schema.get("required", []):
        if name not in value:
            yield place, f"'{name}' is missing"
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, member in value.items():
        inside = f"{place}.{name}" if place else str(name)
        if name in known:
            yield from _check(member, known[name], root, inside)
        elif others is False:
            yield inside, f"unknown; known are {', '.join(known)}"
        elif isinstance(others, dict):
            yield from _check(member, others, root, inside)


def _check_array(
    value: list[Any], schema: dict[str, Any], root: dict[str, Any], place: str
) -> Iterator[tuple[str, str]]:
    if len(value) < schema.get("minItems", 0):
        yield place, f"needs {schema['minItems']} or more"
    for number, member in enumerate(value):
        yield from _check(member, schema.get("items", {}), root, f"{place}[{number}]")


def _check_number(value: float, schema: dict[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if "minimum" in schema and value < schema["minimum"]:
        yield place, f"{value} is less than {schema['minimum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield place, f"{value} is not more than {schema['exclusiveMinimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield place, f"{value} is more than {schema['maximum']}"
