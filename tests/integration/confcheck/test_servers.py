"""The real servers start on the tree that confcheck finds nothing in, and read out of it what confcheck reads."""

import contextlib
import json
import shutil
import smtplib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from confcheck import formats
from confcheck.document import NotReadable
from lab import confserved, npm
from lab.authority import Authority
from lab.certsync import served_serial
from lab.confcheck import copied, found
from lab.confserved import Place
from lab.wire import wait_for

NAME = "mail.postbox.test"


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Place]:
    """Lend one tree, with databases, for all of the servers; confcheck finds nothing in it before and after."""
    root = copied(tmp_path_factory.mktemp("served"))
    assert found(root) == []
    with confserved.place(root, authority.issue(NAME, days=30)) as made:
        assert found(root) == []
        yield made


def answer(port: int, path: str, **headers: str) -> int:
    """Ask for *path*; returns the status."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_wildduck_starts_and_its_api_wants_the_token_of_the_tree(at: Place) -> None:
    with confserved.wildduck(at) as (api, _):
        wait_for(lambda: _answers(api), "the API answers", deadline=60)
        assert answer(api, "/users") == 403
        assert answer(api, "/users", **{"X-Access-Token": "k3Yq0token0of0the0api0Zt41"}) == 200


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return answer(port, "/users") > 0
    return False


def test_zonemta_starts_and_hands_its_plugins_what_the_tree_says(at: Place) -> None:
    with confserved.zonemta(at) as port:
        wait_for(lambda: _serves(port), "a receiver takes connections", deadline=60)
        seen = at.seen("zonemta-wildduck")
        assert seen["srs"]["secret"] == "Sr4srs0secret0shared0pp6"
        assert seen["dkim"]["secret"] == "Dk9dkim0secret0shared0m3"
        assert seen["acme"]["autogenerate"]["enabled"] is False


def _serves(port: int) -> bool:
    with contextlib.suppress(OSError, smtplib.SMTPException):
        return served_serial(port) > 0
    return False


def test_haraka_starts_with_tls_and_reads_what_the_tree_says(at: Place) -> None:
    with confserved.haraka(at) as port:
        wait_for(lambda: _serves(port), "it serves the pair of the tree", deadline=60)
        seen = at.seen("wildduck")
        assert seen["srs"]["secret"] == "Sr4srs0secret0shared0pp6"
        assert seen["sender"]["loopSecret"] == "Lp5loop0secret0shared0w8"
        assert seen["redis"]["db"] == 3
        assert at.seen("rspamd")["main"]["host"] == "rspamd"
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            assert NAME in client.ehlo("client.test")[1].decode() or NAME in client.docmd("HELP")[1].decode()


def test_rspamd_starts_and_its_controller_wants_a_password(at: Place) -> None:
    if shutil.which("rspamd") is None:
        pytest.skip("Rspamd is not installed here")
    with confserved.rspamd(at) as port:
        wait_for(lambda: answer(port, "/ping") == 200, "it answers", deadline=60)
        assert answer(port, "/stat") in {401, 403}
        assert answer(port, "/stat", Password="q1") in {401, 403}


TOML = [
    "a = 1\n", "a = 1\r\nb = 'x'\r\n", "a.b = 1\n", 'a = [1, "x"]\n', "a = [1, 2,]\n", "a = {b = 1}\n", "a = 1_000\n",
    "a = 1\na = 2\n", "a = '''\nx'''\n", "[a]\n[a.b]\n", "[[a]]\nb = 1\n[[a]]\nb = 2\n", "a = [[1], ['x']]\n",
    "a = x\n", "a\n", '"a b" = 1\n["c.d"]\n', "a = \n", 'a = "x', "[a\n", "a = [0.5, 1]\n", "a = [true, 1]\n",
]  # fmt: skip
PARSER = """
for (const text of JSON.parse(process.argv[1])) {
    try { require('toml').parse(text); console.log('yes'); } catch { console.log('no'); }
}
"""


def test_what_the_servers_cannot_read_is_what_confcheck_calls_unreadable() -> None:
    """WildDuck, ZoneMTA and the webmail read with npm's `toml`, which has the last word."""
    command = ["node", "-e", PARSER, json.dumps(TOML)]
    done = subprocess.run(command, cwd=npm.install("wildduck"), capture_output=True, text=True, check=True)

    assert {text: reads(text) for text in TOML} == dict(zip(TOML, done.stdout.split(), strict=True))


def reads(text: str) -> str:
    try:
        return "no" if formats.READERS["toml"](text).problems else "yes"
    except NotReadable:
        return "no"
