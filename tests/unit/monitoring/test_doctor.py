"""`sidecars doctor` has nothing against logban where Prometheus finds it, and still minds a port open to the world."""

from typing import Any

import pytest

from sidecars import exposure, facts


def logban(listens: str) -> facts.Container:
    """Read a logban on the host's network."""
    listed: dict[str, Any] = {
        "Id": "a" * 64,
        "Names": ["/mail-logban-1"],
        "Image": "wildduck-sidecars/logban",
        "State": "running",
        "HostConfig": {"NetworkMode": "host"},
    }
    return facts.container(
        listed, {"Config": {"Entrypoint": ["logban"], "Env": [f"LOGBAN_HTTP={listens}"]}}, lambda text: text
    )


@pytest.mark.parametrize(
    ("listens", "told"),
    [
        ("172.31.254.1:9182", []),
        ("127.0.0.1:9182", []),
        ("[::1]:9182", []),
        ("0.0.0.0:9182", ["port_open"]),
        ("[::]:9182", ["port_open"]),
        ("9.9.9.9:9182", ["port_open"]),
    ],
)
def test_only_what_others_than_this_host_can_reach_is_a_finding(listens: str, told: list[str]) -> None:
    assert [finding.id for finding in exposure._listens(logban(listens))] == told
