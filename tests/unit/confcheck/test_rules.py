import json
import re
import time
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from confcheck import rules
from confcheck.look import Book
from confcheck.placeholder import TOKEN
from confcheck.rules import Pattern, Text
from lab.confcheck import SHIPPED, copied, found, spoiled, told
from sidecarkit import schema
from sidecarkit.errors import SettingsError

SENTENCES = {"severity": "warning", "reason": "because.", "mend": "Mend it.", "message": "{key} is {value}"}
BOOK = [each for each in (resources.files("confcheck") / "book").iterdir() if each.name != "services.yml"]


def own(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
    return path


def complaints(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        rules.load(path)
    return [each.removeprefix(f"{path}: ") for each in caught.value.complaints]


@pytest.mark.parametrize("file", BOOK, ids=lambda file: file.name)
def test_a_shipped_file_fits_the_published_schema(file: Any) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text()), schema.load("confcheck", "rules"))


@pytest.mark.parametrize("name", ["rules", "allow"])
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema.load("confcheck", name))


def test_every_shipped_file_is_loaded() -> None:
    shipped = {name for file in BOOK for name in yaml.safe_load(file.read_text())["rules"]}
    assert set(SHIPPED.rules) == shipped


@given(st.text(st.sampled_from("__AB9_ xé-"), max_size=14))
def test_the_rule_finds_what_render_fills(text: str) -> None:
    check = SHIPPED.rules["leftover-placeholder"].check
    assert isinstance(check, Text)
    told_ = [name for name, _ in check.pattern.find(text)]
    filled = [each[0] for each in TOKEN.finditer(text)]
    assert bool(told_) == bool(filled)
    assert set(told_) <= set(filled)  # of two that share the letter between them the rule tells the first


def test_an_operators_rules_are_of_the_same_kinds(tmp_path: Path) -> None:
    document = {
        "rules": {
            "no-silly-logs": {
                **SENTENCES,
                "value": {"at": ["wildduck:log.level", "zone-mta:log.level"], "is": ["silly"]},
            },
            "own-name": {**SENTENCES, "text": {"in": ["haraka/*"], "matches": "old-name"}},
            "wants-user": {**SENTENCES, "needed": {"at": ["wildduck:user"], "beside": "wildduck:ident"}},
        }
    }
    by = Book(rules.load(own(tmp_path, document)), ())
    root = copied(tmp_path)
    spoiled(root, "wildduck/default.toml", 'level = "info"', 'level = "silly"')
    me = spoiled(root, "haraka/me", "mail.", "old-name.")

    assert {(file, rule) for file, _, rule in told(root, by)} == {
        ("haraka/me", "own-name"), ("wildduck/default.toml", "no-silly-logs"), ("wildduck/default.toml", "wants-user"),
    }  # fmt: skip
    assert ("haraka/me", me, "own-name") in told(root, by)


def test_the_value_that_an_operators_rule_finds_is_masked(tmp_path: Path) -> None:
    document = {"rules": {"x": {**SENTENCES, "message": "{found} {value}", "text": {"matches": "canary[a-z]+"}}}}
    by = Book(rules.load(own(tmp_path, document)), ())
    root = copied(tmp_path)
    spoiled(root, "haraka/me", "mail.", "canaryhunter.")
    (finding,) = found(root, by)
    assert "ca…(12)" in finding.message
    assert "canaryhunter" not in finding.message


def test_everything_that_is_wrong_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    document = {
        "rules": {
            "a": {**SENTENCES, "text": {"matches": "(unclosed"}},
            "b": {**SENTENCES, "value": {"at": ["nobody:x"]}, "when": [{"at": "postfix:y"}]},
            "c": SENTENCES,
            "d": {**SENTENCES, "text": {"matches": "x"}, "folder": {"names": ["y"]}},
            "e": {**SENTENCES, "reader": True},
            "f": {"severity": "fatal"},
            "syntax": {**SENTENCES, "text": {"matches": "x"}},
            "two words": {**SENTENCES, "text": {"matches": "x"}},
            404: {**SENTENCES, "text": {"matches": "x"}},
        }
    }
    told_ = complaints(own(tmp_path, document))

    places = [each.split(": ")[0] for each in told_]
    assert places == [
        *["rules.f"] * 3,
        "rules.f.severity",
        "rules.a.text.matches",
        "rules.b.value.at",
        "rules.b.when[0].at",
        "rules.c",
        "rules.d",
        "rules.e.reader",
        "rules.syntax",
        "rules.two words",
        "rules.404",
    ]


def test_what_the_schema_forbids_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    document = {"rules": {"a": {"severity": "fatal", "text": {}}, "b": 1}, "more": 2}
    told_ = complaints(own(tmp_path, document))
    assert any(each.startswith("rules.a.severity: ") for each in told_)
    assert any(each.startswith("rules.a.text: 'matches' is missing") for each in told_)
    assert any(each.startswith("rules.b: ") for each in told_)
    assert any(each.startswith("more: unknown") for each in told_)


@pytest.mark.parametrize("text", ["rules: [", "rules: {a: 1, a: 2}", "\tx", "- 1", "", "rules: \xff"])
def test_what_is_no_document_of_rules_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes(text.encode("latin-1"))
    assert complaints(path)


def test_a_shipped_rule_is_not_replaced_in_silence(tmp_path: Path) -> None:
    document = {"rules": {"syntax": {**SENTENCES, "text": {"matches": "x"}}}}
    assert complaints(own(tmp_path, document)) == ["rules.syntax: a shipped rule has this id"]


DOCUMENTS = [
    {}, [], {"rules": []}, {"rules": {}}, {"rules": {"a": {}}}, {"rules": {"a": SENTENCES}},
    {"rules": {"a": {**SENTENCES, "mend": " "}}},
    {"rules": {"a": {**SENTENCES, "path": {"at": []}}}}, {"rules": {"a": {**SENTENCES, "path": {"at": ["x"]}}}},
    {"rules": {"a": {**SENTENCES, "equal": {"between": [["wildduck:a"]]}}}},
    {"rules": {"a": {**SENTENCES, "value": {"at": ["wildduck:a"], "is": [True]}}}},
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_our_reader_of_the_schema_agrees_with_jsonschema(document: object) -> None:
    wanted = schema.load("confcheck", "rules")
    assert bool(schema.errors(document, wanted)) == bool(
        list(jsonschema.Draft202012Validator(wanted).iter_errors(document))
    )


def test_an_expression_that_hangs_others_takes_linear_time() -> None:
    evil, text = "(a|a|aa)*(a*)*b", "a" * 200_000
    started = time.process_time()

    assert not Pattern(evil).fits(text)

    assert time.process_time() - started < 10
    assert re.compile(evil)  # what Python would take years for


def test_the_id_of_a_rule_is_a_word_for_a_line_of_output() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in SHIPPED.rules)
