"""YAML: Haraka's wildduck.yaml."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from confcheck.document import Entry, Key, NotReadable, Reading, Role, without_values

_DEEPEST = 100
_Collection = yaml.MappingNode | yaml.SequenceNode


def read(text: str) -> Reading:
    """Read *text*. Raises NotReadable."""
    try:
        root = yaml.compose(text.removeprefix("\ufeff"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotReadable(mark.line + 1 if mark else 1, without_values(error.problem or "not YAML")) from None
    except yaml.YAMLError:
        raise NotReadable(1, "a character that YAML does not allow") from None
    except (RecursionError, ValueError):
        raise NotReadable(1, "nested too deeply") from None
    shift = len(text) - len(text.removeprefix("\ufeff"))
    return Reading(() if root is None else tuple(_node(root, (), shift, set(), 0)))


def _node(node: Any, key: Key, shift: int, seen: set[int], depth: int) -> Iterator[Entry]:
    if isinstance(node, yaml.ScalarNode):
        yield _entry(node, key, shift)
        return
    if id(node) in seen:  # an alias: what it repeats was told where it stands, and repeating can grow without end
        return
    seen.add(id(node))
    if depth > _DEEPEST:
        raise NotReadable(node.start_mark.line + 1, "nested too deeply")
    if isinstance(node, yaml.SequenceNode):
        for number, member in enumerate(node.value):
            for entry in _node(member, (*key, str(number)), shift, seen, depth + 1):
                yield replace(entry, listed=True) if len(entry.key) == len(key) + 1 else entry
        return
    names = set()
    for named, member in node.value:
        if not isinstance(named, yaml.ScalarNode):
            raise NotReadable(named.start_mark.line + 1, "a name that is a list or a table")
        if named.value in names:
            raise NotReadable(named.start_mark.line + 1, "a name that stands here twice")
        names.add(named.value)
        yield _entry(named, (*key, named.value), shift, Role.NAME)
        yield from _node(member, (*key, named.value), shift, seen, depth + 1)


def _entry(node: yaml.ScalarNode, key: Key, shift: int, role: Role = Role.VALUE) -> Entry:
    span = (node.start_mark.index + shift, node.end_mark.index + shift)
    is_null = node.tag == "tag:yaml.org,2002:null"
    return Entry(key, "" if is_null else _text(node), span, node.start_mark.line + 1, node.style or "", role)


def _text(node: yaml.ScalarNode) -> str:
    """Give truth values one spelling; all else is as it stands."""
    if node.tag == "tag:yaml.org,2002:bool":
        return "true" if node.value.lower() in {"true", "yes", "on"} else "false"
    return str(node.value)
