"""What the doctor finds on an engine that lets it read lists and inspections, and nothing else."""

import json
from collections.abc import Iterator

import pytest

from lab.server import SmallServer
from sidecars.program import main

_LABELS = {
    "com.docker.compose.project": "mail",
    "com.docker.compose.service": "certsync",
    "org.opencontainers.image.title": "wildduck-sidecars certsync",
}
_ROW = {
    "Id": "c" * 64,
    "Names": ["/mail-certsync-1"],
    "Image": "wildduck-sidecars/certsync",
    "State": "running",
    "Status": "Up 2 minutes",
    "Labels": _LABELS,
    "Mounts": [{"Type": "bind", "Source": "/srv/acme.json", "Destination": "/traefik/acme.json"}],
}
_INSPECTED = {"Config": {"Env": ["CERT_DOMAIN=mail.example.com"], "Entrypoint": ["certsync"], "Labels": _LABELS}}


def reads_only(request: str) -> Iterator[bytes]:
    """Answer as an engine behind a proxy does."""
    path = request.split(" ")[1].partition("?")[0]
    answers = {"/containers/json": [_ROW], f"/containers/{_ROW['Id']}/json": _INSPECTED, "/_ping": "OK"}
    found = next((answer for end, answer in answers.items() if path.endswith(end)), None)
    body = json.dumps(found or {"message": "forbidden"}).encode()
    status = "403 Forbidden" if found is None else "200 OK"
    yield f"HTTP/1.0 {status}\r\nApi-Version: 1.41\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_the_mount_of_an_acme_json_that_may_not_be_looked_at_is_judged_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with SmallServer(reads_only) as engine:
        status = main(["doctor", "--json"], {"DOCKER_HOST": engine.url})

    document = json.loads(capsys.readouterr().out)
    assert (status, [one["id"] for one in document["findings"]]) == (1, ["acme_single_file"])
    assert "/traefik/acme.json in certsync" in [one["what"] for one in document["not_looked_at"]]
