import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from confcheck import formats, template
from confcheck.document import Document, Role
from confcheck.placeholder import Value
from confcheck.template import NotFilled

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def filled(kind: str, text: str, **values: Value) -> str:
    done = template.fill(Document("file", kind, text, formats.READERS[kind](text)), values)
    assert done is not None
    return done.text


def refused(kind: str, text: str, **values: Value) -> str:
    with pytest.raises(NotFilled) as caught:
        filled(kind, text, **values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("toml", "a = __ONE__ # __ONE__\n", 'a = "x" # __ONE__\n'),
        ("toml", 'a = "b __ONE__"\n', 'a = "b x"\n'),
        ("toml", "a = __TWO__\n", 'a = ["y", "z"]\n'),
        ("toml", 'a = "__TWO__"\n', 'a = ["y", "z"]\n'),
        ("toml", 'a = ["w", __TWO__]\n', 'a = ["w", "y", "z"]\n'),
        ("toml", '["__ONE__"]\n', '["x"]\n'),
        ("toml", "a = __ONE__\r\nb = 1\r\n", 'a = "x"\r\nb = 1\r\n'),
        ("json", '{"a": "__TWO__", "__ONE__": __ONE__}', '{"a": ["y", "z"], "x": "x"}'),
        ("json", '{"a": "\\ud800 __ONE__"}', '{"a": "\\ud800 x"}'),
        ("yaml", "a: __ONE__\nb: __TWO__\n", 'a: "x"\nb: ["y", "z"]\n'),
        ("yaml", "a:\n  - __TWO__\n  - w\n", 'a:\n  - "y"\n  - "z"\n  - w\n'),
        ("yaml", "a: [w, __TWO__]\r\n", 'a: [w, "y", "z"]\r\n'),
        ("yaml", "a: http://__ONE__/ # __ONE__\n", 'a: "http://x/" # __ONE__\n'),
        ("ini", "; __ONE__\na = __ONE__\nb=1\n", "; __ONE__\na = x\nb=1\n"),
        ("lines", "# __ONE__\n__TWO__\n__ONE__\n", "# __ONE__\ny\nz\nx\n"),
        ("ucl", 'a = "__ONE__.test"; /* __ONE__ */\n', 'a = "x.test"; /* __ONE__ */\n'),
        ("ucl", "a = __ONE__;\nb = __TWO__;\nc = [__TWO__];\n", 'a = "x";\nb = ["y", "z"];\nc = ["y", "z"];\n'),
    ],
)
def test_a_value_is_written_in_the_way_of_its_format_and_place(kind: str, text: str, expected: str) -> None:
    assert filled(kind, text, ONE="x", TWO=("y", "z")) == expected


def test_a_file_without_placeholders_is_not_written() -> None:
    text = "# __ONE__\na = 1\n"
    assert template.fill(Document("file", "toml", text, formats.READERS["toml"](text)), {"ONE": "x"}) is None


@given(ANY, st.lists(ANY, min_size=1, max_size=3))
def test_any_value_reads_back_as_it_was_or_is_refused(one: str, two: list[str]) -> None:
    texts = {
        "toml": "a = __ONE__\nb = '__ONE__'\nc = __TWO__\n",
        "json": '{"a": __ONE__, "b": "__ONE__", "c": "__TWO__"}',
        "yaml": "a: __ONE__\nb: '__ONE__'\nc: __TWO__\n",
    }
    readers: dict[str, Any] = {"toml": tomllib.loads, "json": json.loads, "yaml": yaml.safe_load}
    for kind, text in texts.items():
        assert readers[kind](filled(kind, text, ONE=one, TWO=tuple(two))) == {"a": one, "b": one, "c": two}


@pytest.mark.parametrize("kind", ["ini", "lines", "ucl"])
@given(value=ANY)
def test_any_value_is_written_so_that_it_reads_back_or_not_at_all(kind: str, value: str) -> None:
    text = {"ini": "a = __ONE__\n", "lines": "__ONE__\n", "ucl": 'a = "__ONE__";\n'}[kind]
    try:
        done = filled(kind, text, ONE=value)
    except NotFilled:
        return
    entries = formats.READERS[kind](done).entries
    assert [each.text for each in entries if each.role is Role.VALUE] == [value]


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("toml", 'a = "x __TWO__"\n', {"TWO": ("y",)}),  # a list within a text
        ("toml", '["__TWO__"]\n', {"TWO": ("y",)}),  # or as a name
        ("toml", '["__ONE__"]\n[b]\n', {"ONE": "b"}),  # twice the same table
        ("ini", "a = __TWO__\n", {"TWO": ("y",)}),  # INI has no lists
        ("ini", "a = __ONE__\n", {"ONE": "x\ny"}),
        ("ini", "a = __ONE__\n", {"ONE": "x\\"}),  # would go on in the next line
        ("ini", "a = b \\\n __ONE__\n", {"ONE": "x"}),
        ("ini", "__ONE__ = 1\n", {"ONE": "a=b"}),  # another name
        ("lines", "__ONE__\n", {"ONE": "# a comment"}),
        ("yaml", "a: |\n  __ONE__\n", {"ONE": "x"}),
        ("ucl", 'a = "__ONE__";\n', {"ONE": "$CONFDIR"}),
        ("ucl", 'a = "__ONE__";\n', {"ONE": "${X}"}),
    ],
)
def test_what_cannot_be_written_in_its_place_is_refused(kind: str, text: str, values: dict[str, Value]) -> None:
    assert refused(kind, text, **values)


def test_a_hashed_password_of_rspamd_is_written_as_it_is() -> None:
    assert filled("ucl", 'password = "__ONE__";\n', ONE="$2$abc$def") == 'password = "$2$abc$def";\n'


def test_every_name_that_the_map_lacks_is_told_and_no_value() -> None:
    said = refused("toml", "a = __ONE__\nb = '__TWO__ __THREE__'\nc = '__SECRET__'\n", SECRET="canary")
    assert [name for name in ("ONE", "TWO", "THREE") if name in said] == ["ONE", "TWO", "THREE"]
    assert "canary" not in said
