from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from logban import rules
from logban.offence import KINDS
from sidecarkit import schema
from sidecarkit.errors import SettingsError

SHIPPED = ["dovecot", "haproxy", "haraka", "nginx", "postfix", "traefik", "wildduck", "zonemta"]


def test_the_shipped_filters_are_these() -> None:
    assert list(rules.shipped()) == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_filter_fits_the_published_schema(name: str) -> None:
    text = (resources.files("logban") / "filters" / f"{name}.yml").read_text()
    jsonschema.validate(yaml.safe_load(text), schema.load("logban", "filter"))


@pytest.mark.parametrize("name", ["filter", "logban"])
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema.load("logban", name))


def test_the_filter_in_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "logban-filters.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert [rule.role for rule in rules.read("example", example, "docs").rules] == [
        "opens",
        "offence",
        "offence",
        "success",
        "closes",
    ]


def test_every_reason_has_one_kind() -> None:
    document = yaml.safe_load((resources.files("logban") / "reasons.yml").read_text())
    for library, kinds in document.items():
        texts = [text for each in kinds.values() for text in each]
        assert len(texts) == len(set(texts)), library
        assert kinds.keys() <= set(KINDS)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("unsupported protocol", "legacy_tls"),
        ("tlsv1 alert unknown ca", None),
        ("ssl/tls alert certificate expired", None),
        ("something new", None),
    ],
)
def test_a_reason_that_says_nothing_against_the_client_has_no_kind(reason: str, kind: str | None) -> None:
    assert rules.vocabularies()["openssl"].kind(reason) == kind


def test_nodes_codes_are_read_as_reasons() -> None:
    assert rules.spoken("ERR_SSL_NO_SHARED_CIPHER") == "no shared cipher"


def test_all_errors_of_a_filter_are_told_at_once_with_file_and_place() -> None:
    text = """
about: a server
patterns:
  - offence: '^login of <ADDR> refused'
  - offence: 'login of <ADDR> refused'
    kind: auth_failure
  - opens: '^session of <ADDR> opened'
  - offence: '^handshake of <ADDR> failed'
    reasons: gnutls
  - offence: '^nobody of <ADDR> at all('
    kind: malformed
    echo_of: [nothing]
"""
    with pytest.raises(SettingsError) as caught:
        rules.read("mine", text, "mine.yml")
    places = [complaint.split(": ")[1] for complaint in caught.value.complaints]
    assert all(complaint.startswith("mine.yml: ") for complaint in caught.value.complaints)
    assert places == [
        "patterns[0]",
        "patterns[1].offence",
        "patterns[2].opens",
        "patterns[3].reasons",
        "patterns[3].offence",
        "patterns[4].offence",
    ]


def test_what_the_schema_forbids_is_told_with_its_place() -> None:
    text = "about: x\nimage: [y]\npatterns:\n  - {offence: '^abcdef <ADDR>', kind: rude, peer: 1}\n"
    with pytest.raises(SettingsError) as caught:
        rules.read("mine", text, "mine.yml")
    assert [complaint.split(": ")[1] for complaint in caught.value.complaints] == [
        "image",
        "patterns[0].kind",
        "patterns[0].peer",
    ]


def test_broken_yaml_is_told_in_one_line() -> None:
    with pytest.raises(SettingsError) as caught:
        rules.read("mine", "about: [", "mine.yml")
    assert len(caught.value.complaints) == 1 and "\n" not in caught.value.complaints[0]


DOCUMENTS = [
    {"about": "x"},
    {"about": 1},
    {},
    [],
    {"about": "x", "patterns": {}},
    {"about": "x", "patterns": [{"offence": "^a", "kind": "malformed", "literal": []}]},
    {"about": "x", "blocks": [{"begin": "^a", "end": "^b", "patterns": []}]},
    {"about": "x", "blocks": [{"begin": "^a", "end": "^b", "most_lines": 1, "patterns": [{}]}]},
    {"about": "x", "define": {"A": 1}, "reuses_ids": "yes"},
    {"about": "x", "reasons": {"mine": {"legacy_tls": ["a"], "rude": []}}},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_our_reader_of_schemas_agrees_with_jsonschema(document: object) -> None:
    validator = jsonschema.Draft202012Validator(schema.load("logban", "filter"))
    assert bool(schema.errors(document, schema.load("logban", "filter"))) == bool(list(validator.iter_errors(document)))
