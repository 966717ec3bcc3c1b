"""confcheck as a process: what it publishes, tells, remembers and lets nobody see."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.agent import AgentProcess
from lab.confcheck import copied, spoiled, tree_hash
from lab.wire import wait_for

CANARIES = ["canary-secret-of-the-tree-1", "canary-secret-of-the-tree-2", "canary-token-of-the-map-3"]
WEBMAIL = "wildduck-webmail/default.toml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path)


@pytest.fixture
def confcheck(tmp_path: Path, root: Path) -> Iterator[AgentProcess]:
    """Make a confcheck that looks five times a second; it is not started yet."""
    env = {
        "CONFCHECK_ROOT": str(root),
        "CONFCHECK_INTERVAL": "0.2s",
        "CONFCHECK_RULES": str(tmp_path / "rules.yml"),
        "CONFCHECK_ALLOW": str(tmp_path / "allow.yml"),
    }
    with_it = AgentProcess("confcheck", tmp_path, env=env, http=True)
    yield with_it
    with_it.close()


def get(process: AgentProcess, path: str) -> str:
    with urllib.request.urlopen(f"http://{process.address}{path}", timeout=10) as response:
        return str(response.read().decode())


def test_a_finding_is_counted_told_and_over_when_it_is_mended(root: Path, confcheck: AgentProcess) -> None:
    confcheck.start()
    confcheck.wait_for("http_listening")
    wait_for(lambda: 'confcheck_findings{severity="error"} 0.0' in get(confcheck, "/metrics"), "nothing is found")

    line = spoiled(root, "wildduck/pop3.toml", "mail.postbox.test", "email.example.com")

    confcheck.wait_for("finding", file="wildduck/pop3.toml", line=line, rule="leftover-example", severity="error")
    assert 'confcheck_findings{severity="error"} 1.0' in get(confcheck, "/metrics")
    assert json.loads(get(confcheck, "/healthz"))["healthy"] is True
    (finding,) = json.loads(confcheck.command("status", "--json").stdout)["findings"]
    assert (finding["file"], finding["line"]) == ("wildduck/pop3.toml", line)
    assert confcheck.command("healthcheck").returncode == 0

    spoiled(root, "wildduck/pop3.toml", "email.example.com", "mail.postbox.test")

    confcheck.wait_for("findings_mended", count=1, left=0)
    assert confcheck.stop() == 0
    assert len(confcheck.lines("finding")) == 1


def test_what_was_told_before_a_kill_is_not_told_again(root: Path, confcheck: AgentProcess) -> None:
    spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    confcheck.start()
    confcheck.wait_for("finding")
    confcheck.kill9()

    confcheck.start()
    spoiled(root, "zone-mta/pools.toml", "mail.postbox.test", "__HOST__")
    confcheck.wait_for("finding", file="zone-mta/pools.toml")

    assert [each["file"] for each in confcheck.lines("finding")] == ["zone-mta/pools.toml"]


def test_wrong_rules_keep_it_from_starting_and_are_told_together(tmp_path: Path, confcheck: AgentProcess) -> None:
    (tmp_path / "rules.yml").write_text("rules: {a: {severity: fatal}, b: 1}\n")
    confcheck.start()
    assert confcheck.wait() == 2
    assert "rules.a.severity" in confcheck.stderr
    assert "rules.b" in confcheck.stderr


def test_no_secret_reaches_anything_that_is_printed_served_or_stored(
    tmp_path: Path, root: Path, confcheck: AgentProcess
) -> None:
    spoiled(root, "haraka/wildduck.yaml", "Sr4srs0secret0shared0pp6", CANARIES[0])
    spoiled(root, WEBMAIL, 'accessToken="k3Yq0token0of0the0api0Zt41"', f'accessToken="{CANARIES[1]}"')
    spoiled(root, "wildduck/dkim.toml", '"Dk9dkim0secret0shared0m3"', f'"{CANARIES[0]}" "{CANARIES[1]}"')
    spoiled(root, "rspamd/local.d/rbl.conf", "q7dqs0token0of0the0tests00", "__DQS__")
    (tmp_path / "map.yml").write_text(f"DQS: {CANARIES[2]}\nOTHER: ''\n")
    confcheck.start()
    confcheck.wait_for("finding")

    said = [confcheck.command(*words) for words in (
        ("check",), ("check", "--json"), ("status",), ("status", "--json"), ("settings",),
        ("render", "--map", str(tmp_path / "map.yml")),
    )]  # fmt: skip
    shown = [each.stdout + each.stderr for each in said]
    shown += [get(confcheck, "/metrics"), get(confcheck, "/healthz"), json.dumps(confcheck.lines()), confcheck.stderr]
    stored = b"".join(path.read_bytes() for path in confcheck.state.iterdir())

    assert "srs-secret" in shown[0] or "syntax" in shown[0]
    assert not [canary for canary in CANARIES if canary in "".join(shown) or canary.encode() in stored]


def test_a_render_that_is_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path, root: Path) -> None:
    """The real process, killed at moments spread over its whole life; what each call leaves is in the unit tests."""
    places = [
        ("wildduck/imap.toml", "mail.postbox.test"),
        ("haraka/me", "mail.postbox.test"),
        (WEBMAIL, "Ww1session0secret0alone0r5"),
    ]
    for file, old in places:
        spoiled(root, file, old, "__HOST__")
    (tmp_path / "map.yml").write_text(f"HOST: {CANARIES[2]}\n")
    old_bytes = {file: (root / file).read_bytes() for file, _ in places}
    command = [sys.executable, "-m", "confcheck", "render", "--map", str(tmp_path / "map.yml"), "--root", str(root)]
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    started = time.monotonic()
    assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0
    lifetime = time.monotonic() - started
    new_bytes, after = {file: (root / file).read_bytes() for file, _ in places}, tree_hash(root)
    moments = random.Random(7)
    killed = 0
    for _ in range(25):
        for file, content in old_bytes.items():
            (root / file).write_bytes(content)
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(lifetime * moments.uniform(0.4, 1.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        for file, _ in places:
            assert (root / file).read_bytes() in {old_bytes[file], new_bytes[file]}
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert tree_hash(root) == after
    assert killed
