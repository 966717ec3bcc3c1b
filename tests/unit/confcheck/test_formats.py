"""The readers find every value, where it stands, and no more than their servers' own readers do."""

import json
import string
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from confcheck import formats
from confcheck.document import Entry, NotReadable, Reading, Role

WORDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), max_size=12)


def values(reading: Reading) -> dict[tuple[str, ...], str]:
    return {entry.key: entry.text for entry in reading.entries if entry.role is Role.VALUE}


def leaves(document: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Flatten a decoded document."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for name, member in members:
        if isinstance(member, dict | list):
            yield from leaves(member, (*key, str(name)))
        else:
            yield (*key, str(name)), member


@st.composite
def toml_values(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.sampled_from(["basic", "literal", "block", "bare", *(["list", "table"] if depth else [])]))
    text = draw(TEXTS)
    if kind == "basic":
        return json.dumps(text, ensure_ascii=draw(st.booleans()) and text.isascii())
    if kind == "literal":
        return "'" + text.replace("'", "").replace("\n", "") + "'"
    if kind == "block":
        return "'''\n" + text.replace("'", "") + "'''"
    if kind == "bare":
        return draw(st.sampled_from(["true", "false", "7", "-1_000", "0.5", "1e3"]))
    members = draw(st.lists(toml_values(depth - 1), max_size=3))
    if kind == "list":
        return "[" + draw(st.sampled_from([", ", ",\n  ", " , # a ] in a comment\n"])).join(members) + "]"
    return "{" + ", ".join(f"k{number} = {member}" for number, member in enumerate(members)) + "}"


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        name = draw(WORDS | TEXTS.map(json.dumps))
        kind = draw(st.sampled_from(["value", "value", "table", "array", "comment", "dotted"]))
        if kind == "value":
            lines.append(f"  {name} = {draw(toml_values())} # \"no value\" = 'here'")
        elif kind == "dotted":
            lines.append(f"{name} . x={draw(toml_values())}")
        else:
            lines.append({"table": f"[ {name} ]", "array": f"[[{name}]]", "comment": f"# {name!r} = __X__"}[kind])
    return draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])


@given(toml_documents())
def test_toml_values_are_those_of_the_strict_reader(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(NotReadable):
            formats.READERS["toml"](text)
        assume(condition=False)

    reading = formats.READERS["toml"](text)

    found = {entry.key: entry for entry in reading.entries if entry.role is Role.VALUE}
    decoded = {key: each.text if each.quote else tomllib.loads(f"v={each.text}")["v"] for key, each in found.items()}
    assert decoded == dict(leaves(expected))
    assert all(written_there(text, each) for each in found.values())


def written_there(text: str, entry: Entry) -> bool:
    """Whether the entry's span is its value as the strict reader takes it, and its line is right."""
    written = text[slice(*entry.span)]
    same = tomllib.loads(f"v={written}")["v"] == entry.text if entry.quote else written == entry.text
    return same and entry.line == text.count("\n", 0, entry.span[0]) + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, JSON, max_size=3), st.sampled_from([None, 1, "\t"]))
def test_json_values_are_those_of_the_strict_reader(document: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(document, indent=indent)

    found = values(formats.READERS["json"](text))

    assert found == {key: each if isinstance(each, str) else json.dumps(each) for key, each in leaves(document)}


@given(st.dictionaries(TEXTS, JSON, max_size=3), st.booleans())
def test_yaml_values_stand_where_the_reader_says(document: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)

    entries = [each for each in formats.READERS["yaml"](text).entries if each.role is Role.VALUE]

    assert {each.key for each in entries} >= {key for key, _ in leaves(document)}
    for each in entries:
        if each.quote == '"' and "\n" not in text[slice(*each.span)]:
            assert yaml.safe_load(text[slice(*each.span)]) == each.text
            assert each.line == text.count("\n", 0, each.span[0]) + 1


@given(st.text(max_size=60), st.sampled_from(sorted(formats.READERS)))
def test_no_text_makes_a_reader_fail_in_another_way_than_it_says(text: str, kind: str) -> None:
    try:
        reading = formats.READERS[kind](text)
    except NotReadable as error:
        lines = (error.line,)
    else:
        lines = tuple(each.line for each in reading.entries)
        assert all(0 <= each.span[0] <= each.span[1] <= len(text) for each in reading.entries)
    assert all(1 <= line <= text.count("\n") + 2 for line in lines)


MARKS = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "=",
    ":",
    ";",
    ",",
    "\n",
    " ",
    "#",
    "/*",
    "*/",
    "a",
    ".include",
    "$X",
    "<<EOD\n",
    "\\",
]


@given(st.lists(st.sampled_from(MARKS), max_size=40).map("".join), st.sampled_from(sorted(formats.READERS)))
def test_no_heap_of_marks_hangs_or_breaks_a_reader(text: str, kind: str) -> None:
    with suppress(NotReadable):
        formats.READERS[kind](text)


@pytest.mark.parametrize("kind", ["toml", "json", "yaml", "ucl"])
def test_what_is_nested_without_end_is_refused(kind: str) -> None:
    opening = {"toml": "a = ", "json": "", "yaml": "a: ", "ucl": "a = "}[kind]
    with pytest.raises(NotReadable):
        formats.READERS[kind](opening + "[" * 50_000)


def test_a_yaml_alias_is_not_told_again_and_again() -> None:
    text = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert len(formats.READERS["yaml"](text).entries) < 20


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        ("toml", 'a = 1\nb = "x\nc = 2\n', 2),
        ("toml", "a = 1\na = 2\n", 2),
        ("toml", "[x\n", 1),
        ("json", '{"a": 1,\n "b" 2}', 2),
        ("yaml", 'a: 1\nb: "x\n', 3),
        ("yaml", "a: 1\na: 2\n", 2),
        ("yaml", "a: [1\nb: 2\n", 2),
        ("ucl", 'a = 1;\nb {\n c = "x";\n', 2),
        ("ucl", "a = 1;\n}\n", 2),
        ("ucl", 'a = "x;\n', 1),
        ("ucl", "a = 1;\n/* no end\n", 2),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(kind: str, text: str, line: int) -> None:
    with pytest.raises(NotReadable) as caught:
        formats.READERS[kind](text)
    assert caught.value.line == line


def test_the_reason_repeats_nothing_of_the_file() -> None:
    for kind, text in (
        ("yaml", "a: *hunter2\n"),
        ("toml", "hunter2.x = 1\n[hunter2]\n[hunter2]\n"),
        ("yaml", "a: 'hunter2\n"),
    ):
        with pytest.raises(NotReadable) as caught:
            formats.READERS[kind](text)
        assert "hunter2" not in caught.value.reason


def test_ini_is_read_as_haraka_reads_it() -> None:
    text = "; a comment = 1\n# b = 2\nhost = x  \r\n[ outbound ]\na[]=1\nlong = a \\\n  b\nflag\n"

    found = formats.READERS["ini"](text)

    assert values(found) == {
        ("main", "host"): "x", ("outbound", "a"): "1", ("outbound", "long"): "a   b", ("outbound", "flag"): "",
    }  # fmt: skip
    assert found.problems == ()


def test_ucl_is_read_with_its_sections_comments_and_macros() -> None:
    text = """
# a = 1
worker "normal" { bind_socket = "*:11333"; .include(try=true) "$CONFDIR/x.inc" }
/* b = 2 /* c = 3 */ d = 4 */
list = ["x", y, 'z'];
section {
  bare = some text here # no value
  url = http://x.test/#fragment
  var = ${DBDIR}/x
  nested sub { deep: 1m }
}
"quoted" "value"
heredoc = <<EOD
one
two
EOD
"""
    found = formats.READERS["ucl"](text)

    assert values(found) == {
        ("worker", "normal", "bind_socket"): "*:11333",
        ("list", "0"): "x", ("list", "1"): "y", ("list", "2"): "z",
        ("section", "bare"): "some text here",
        ("section", "url"): "http://x.test/#fragment",
        ("section", "var"): "${DBDIR}/x",
        ("section", "nested", "sub", "deep"): "1m",
        ("quoted",): "value",
        ("heredoc",): "one\ntwo",
    }  # fmt: skip
    assert [(each.pattern, each.needed) for each in found.includes] == [("$CONFDIR/x.inc", False)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("wildduck/api.toml", "toml"), ("wildduck/roles.json", "json"), ("wildduck/default.js", None),
        ("haraka/plugins", "lines"), ("haraka/tls_key.pem", None), ("haraka/wildduck.yaml", "yaml"),
        ("rspamd/local.d/rbl.conf", "ucl"), ("rspamd/local.d/worker-controller.inc", "ucl"),
        ("rspamd/local.d/maps.d/white.inc", "lines"), ("rspamd/local.d/x.map", "lines"), ("rspamd/local.d/x.lua", None),
        ("zone-mta/notes", None),
    ],
)  # fmt: skip
def test_the_name_of_a_file_tells_its_format(path: str, kind: str | None) -> None:
    assert formats.of(PurePosixPath(path)) == kind
