import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from certsync import document
from certsync.document import Document
from certsync.forms import Form
from certsync.policy import Wanted
from certsync.reading import Complaints
from certsync.source import AcmeJson, PemPair
from certsync.store import Owner
from certsync.target import Command, Endpoint, Exec, Http, Output, Restart, Signal, Target, Touch

SCHEMA = json.loads((Path(document.__file__).parent / "certsync.schema.json").read_text())

WHOLE = """
sources:
  traefik: {acme_json: /traefik/acme.json, resolver: letsencrypt}
  files: {certificate: /certs/mail.pem, key: /certs/mail-key.pem}
targets:
  haraka:
    domains: [Mail.Example.com, "*.example.org"]
    source: traefik
    certificate: /haraka/tls_cert.pem
    key: /haraka/tls_key.pem
    owner: "1000:1001"
    modes: {certificate: "0644", key: "0440"}
    reload: {touch: /haraka/tls.ini}
    verify: {address: "haraka:25", starttls: smtp}
"""


def complaints_of(text: str) -> tuple[str, ...]:
    with pytest.raises(Complaints) as caught:
        document.read(text)
    return caught.value.complaints


def target_of(body: str) -> Target:
    (found,) = document.read("targets:\n  it: {domains: [a.example.com], " + body + "}").targets
    return found


def test_everything_is_read() -> None:
    assert document.read(WHOLE) == Document(
        sources=(
            AcmeJson("traefik", Path("/traefik/acme.json"), "letsencrypt"),
            PemPair("files", Path("/certs/mail.pem"), Path("/certs/mail-key.pem")),
        ),
        targets=(
            Target(
                name="haraka",
                wanted=Wanted(("mail.example.com", "*.example.org")),
                outputs=(
                    Output(Form.CERTIFICATE, "/haraka/tls_cert.pem", 0o644),
                    Output(Form.KEY, "/haraka/tls_key.pem", 0o440),
                ),
                source="traefik",
                owner=Owner(1000, 1001),
                reload=Touch("/haraka/tls.ini"),
                verify=Endpoint("haraka", 25, "smtp"),
                dhparams=Output(Form.CERTIFICATE, "/haraka/dhparams.pem", 0o644),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("body", "reload"),
    [
        ("reload: none", None),
        ("reload: {touch: /x/y}", Touch("/x/y")),
        ("reload: {restart: zonemta}", Restart("zonemta")),
        ("reload: {restart: z, stop_seconds: 20, unless_served_within: 5}", Restart("z", 20, 5.0)),
        ("reload: {exec: [nginx, -s, reload], container: web}", Exec("web", ("nginx", "-s", "reload"))),
        ("reload: {signal: HUP, container: postfix}", Signal("postfix", "HUP")),
        ("reload: {command: [systemctl, reload, x]}", Command(("systemctl", "reload", "x"))),
        ("reload: {http: {url: 'http://w:8080/certs'}}", Http("http://w:8080/certs")),
        (
            "reload: {http: {url: 'http://w/x', method: PUT, body: none, token_file: /run/t}}",
            Http("http://w/x", "PUT", wildduck=False, token_file=Path("/run/t")),
        ),
    ],
)
def test_every_way_to_reload_is_read(body: str, reload: object) -> None:
    assert target_of("certificate: /c, " + body).reload == reload


def test_an_empty_file_says_nothing() -> None:
    assert document.read("") == document.read("targets:\nsources:\n") == Document()


def test_all_mistakes_are_told_at_once_each_with_its_path() -> None:
    text = """
source: {}
sources:
  a: {acme_json: relative.json, key: /k}
  b: {certificate: /c}
  "no name!": {acme_json: /a}
targets:
  one:
    domains: [ok.example.com, "not a name"]
    sorce: a
    source: nowhere
    certificate: /same
    key: /same
    owner: node
    modes: {key: "0644", certificate: 0640, leaf: "0640"}
    reload: {touch: /x, restart: y}
    verify: {address: "haraka", starttls: ftp}
  two: {certificate: /x}
  three: {domains: [x.example.com]}
  four: {domains: [x.example.com], certificate: /f, reload: {signal: HUP, container: haraka}}
  five: {domains: [], key: /g, reload: {exec: "nginx -s reload"}, allow_staging: "yes"}
  six: 7
"""
    paths = {complaint.split(": ")[0] for complaint in complaints_of(text)}
    assert paths == {
        "source",
        "sources.a.acme_json",
        "sources.a.key",
        "sources.b.key",
        "sources.no name!",
        "targets.one",
        "targets.one.domains[1]",
        "targets.one.sorce",
        "targets.one.source",
        "targets.one.owner",
        "targets.one.modes.key",
        "targets.one.modes.certificate",
        "targets.one.modes.leaf",
        "targets.one.reload",
        "targets.one.verify.address",
        "targets.one.verify.starttls",
        "targets.two.domains",
        "targets.three",
        "targets.four.reload.signal",
        "targets.five.domains",
        "targets.five.reload.container",
        "targets.five.reload.exec",
        "targets.five.allow_staging",
        "targets.six",
    }


def test_a_hangup_for_a_server_that_it_kills_is_refused_with_the_reason() -> None:
    (complaint,) = complaints_of(
        "targets: {z: {domains: [a.b], key: /k, reload: {signal: SIGHUP, container: stack-zonemta-1}}}"
    )
    assert "ZoneMTA ends" in complaint


@pytest.mark.parametrize("text", ["a: [", "sources: {a: {acme_json: /x}, a: {acme_json: /y}}", "\tx: 1", "? [1]\n: 2"])
def test_what_is_no_yaml_is_told_with_its_line(text: str) -> None:
    (complaint,) = complaints_of(text)
    assert complaint.startswith("line 1, column ")


VARIANTS: list[Any] = [
    yaml.safe_load(WHOLE),
    {"targets": {"a": {"domains": ["a.b"], "certificate": "/c"}}},
    {"targets": {"a": {"domains": ["a.b"], "reload": {"http": {"url": "http://x/"}}}}},
    {"targets": {"a": {"domains": ["a.b"], "reload": {"restart": "x"}}}},
    {"targets": {"a": {"certificate": "/c"}}},
    {"targets": {"a": {"domains": ["a.b"], "certificate": "c"}}},
    {"targets": {"a": {"domains": "a.b", "certificate": "/c"}}},
    {"targets": {"a": {"domains": ["a.b"], "certificate": "/c", "modes": {"certificate": 416}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "modes": {"key": "0604"}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "modes": {"key": "640"}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "reload": {"exec": ["x"]}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "reload": {"touch": "/x", "container": "y"}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "reload": "none", "verify": "none"}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "reload": "restart"}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "verify": {"address": "h:25", "starttls": None}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "verify": {"address": "h"}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "verify": {"starttls": "smtp"}}}},
    {"targets": {"a": {"domains": ["a.b"], "key": "/c", "owner": 1000}}},
    {"targets": {"a b": {"domains": ["a.b"], "key": "/c"}}},
    {"sources": {"a": {"acme_json": "/x"}}},
    {"sources": {"a": {"acme_json": "/x", "certificate": "/y"}}},
    {"sources": {"a": {"certificate": "/x", "key": "/y"}}},
    {"sources": {"a": {"certificate": "/x", "key": "/y", "resolver": "le"}}},
    {"sources": {"a": {}}},
    {"sources": {"a": None}},
    {"sources": []},
    {"extra": 1},
    [],
]


@pytest.mark.parametrize("value", VARIANTS)
def test_the_schema_for_editors_and_the_reader_agree(value: object) -> None:
    accepted_by_schema = jsonschema.Draft202012Validator(SCHEMA).is_valid(value)
    try:
        document.read(json.dumps(value))
        accepted = True
    except Complaints:
        accepted = False
    assert accepted == accepted_by_schema
