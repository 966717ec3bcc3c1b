"""The image as it is documented: without rights and network, read-only, with the folder and nothing else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import sidecars
from lab.compose import Compose
from lab.confcheck import copied, spoiled
from lab.containers import Containers
from lab.engine import GivenEngine
from lab.images import agent_image
from lab.wire import wait_for

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(containers: Containers, tmp_path: Path) -> Iterator[Path]:
    for parent in [tmp_path, *tmp_path.parents][:-2]:
        parent.chmod(0o755)
    yield copied(tmp_path)
    containers.remove_all()  # before their folder


def test_it_looks_finds_and_is_healthy_without_any_right(
    engine: GivenEngine, containers: Containers, root: Path
) -> None:
    line = spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")

    ours = sidecars.agent(
        engine, containers, "confcheck", host={"Binds": [f"{root}:/config:ro"]}, network_mode="none",
        config={"Healthcheck": {"Interval": 500_000_000}},
    )  # fmt: skip

    wait_for(lambda: ours.health == "healthy", "it is healthy", deadline=60)
    status, output = ours.run("confcheck", "check", "--json")
    assert status == 1
    (finding,) = json.loads(output[output.index("[") : output.rindex("]") + 1])
    assert (finding["file"], finding["line"], finding["rule"]) == ("haraka/me", line, "leftover-placeholder")
    assert ours.run("id", "-u")[1].strip() == "10001"
    ours.stop(10)
    assert ours.inspect()["State"]["ExitCode"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to root alone")
def test_files_of_root_alone_are_read_by_root_without_a_capability(
    engine: GivenEngine, containers: Containers, root: Path
) -> None:
    for path in root.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    host = {"Binds": [f"{root}:/config:ro"]}

    ours = sidecars.agent(
        engine, containers, "confcheck", host=host, network_mode="none",
        config={"User": "0:0", "Healthcheck": {"Interval": 500_000_000}},
    )  # fmt: skip

    wait_for(lambda: ours.health == "healthy", "it is healthy", deadline=60)
    assert ours.run("confcheck", "check")[0] == 0


def test_with_compose_strict_the_stack_starts_only_when_nothing_is_found(
    engine: GivenEngine, containers: Containers, root: Path, tmp_path: Path
) -> None:
    image = agent_image(engine, "confcheck")
    standin = {"image": "sidecars/busybox", "command": ["sleep", "86400"], "stop_grace_period": "0s"}
    names = (
        "mongo",
        "redis",
        "wildduck",
        "wildduck-tasks",
        "wildduck-webmail",
        "zonemta",
        "haraka",
        "rspamd",
        "traefik",
    )
    stack = tmp_path / "stack"
    stack.mkdir()
    (stack / "docker-compose.yml").write_text(
        json.dumps({"services": dict.fromkeys(names, standin), "volumes": {"traefik": {}}})
    )
    spoiled(root, "haraka/me", "mail.postbox.test", "__HOST__")
    variables = {
        "WD_CONFIG": str(root), "SIDECARS_IMAGE_CONFCHECK": image,
        "HOSTNAMES": "mail.postbox.test",
    }  # fmt: skip
    files = [
        stack / "docker-compose.yml",
        *(ROOT / f"compose.{name}.yml" for name in ("sidecars", "wildduck", "strict")),
    ]
    with Compose(engine.url, stack, name="strict", files=files, variables=variables) as compose:
        refused = compose.run("up", "--detach", "--pull", "never", "haraka", "wildduck", check=False)
        assert refused.returncode != 0
        assert state_of(compose, "haraka") == "created"

        spoiled(root, "haraka/me", "__HOST__", "mail.postbox.test")
        compose.run("up", "--detach", "--pull", "never", "haraka", "wildduck")

        assert state_of(compose, "haraka") == state_of(compose, "wildduck") == "running"


def state_of(compose: Compose, service: str) -> str:
    listed = compose.run("ps", "--all", "--format", "json", service).stdout
    return str(json.loads(listed.splitlines()[0])["State"])
