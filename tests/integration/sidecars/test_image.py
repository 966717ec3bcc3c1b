"""The doctor's image beside an engine, and what it sees on the wire."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.agent import free_port
from lab.authority import Authority, Issued
from lab.containers import Container, Containers
from lab.doctor import Deployment, Report, inside
from lab.engine import GivenEngine
from lab.images import agent_image
from lab.wire import call, demand

pytestmark = pytest.mark.engine

_NUMBERS = count(1)
_SERVE = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", int(sys.argv[3])))
print("listening", flush=True)
while True:
    try:
        context.wrap_socket(listener.accept()[0], server_side=True).close()
    except OSError:
        pass
"""


@pytest.fixture
def stack(engine: GivenEngine, containers: Containers) -> Deployment:
    stack = Deployment(engine, containers)
    stack.agents()
    stack.haraka()
    return stack


def doctor_in_a_container(stack: Deployment) -> Report:
    """Run the image as documented: on the host's network, with the socket, and nothing else."""
    socket = urlsplit(stack.engine.url).path
    doctor = stack.containers.create(
        f"doctor{next(_NUMBERS)}",
        network_mode="host",
        host={
            "Binds": [f"{socket}:/var/run/docker.sock"],
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
        },
        config={
            "Image": agent_image(stack.engine, "sidecars"),
            "User": "0:0",
            "Cmd": ["doctor", "--json", "--project", stack.project],
        },
    )
    doctor.start()
    status = demand(stack.engine.url, "POST", f"/containers/{doctor.id}/wait")["StatusCode"]
    return Report(status, _log(doctor, "stdout"), _log(doctor, "stderr"))


def _log(doctor: Container, stream: str) -> str:
    done = subprocess.run(
        ["docker", "--host", doctor._url, "logs", doctor.id], capture_output=True, text=True, check=True
    )
    return str(getattr(done, stream))


@contextmanager
def serving(engine: GivenEngine, folder: Path, issued: Issued) -> Iterator[int]:
    """Serve a certificate on a loopback port of the engine's host."""
    certificate, key, port = folder / "served.pem", folder / "served-key.pem", free_port()
    certificate.write_bytes(issued.chain_pem)
    key.write_bytes(issued.key_pem())
    command = [*inside(engine), sys.executable, "-c", _SERVE, str(certificate), str(key), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"listening\n"
            yield port
        finally:
            process.kill()


def consumer(stack: Deployment, port: int, on_disk: Issued) -> Container:
    """Run a stand-in that asks for a certificate and has one in its file."""
    labels = {
        "certsync": "true",
        "certsync.domains": "mail.example.com",
        "certsync.certificate": "/lab/cert.pem",
        "certsync.key": "/lab/key.pem",
        "certsync.verify": f":{port}",
    }
    one = stack.service("nginx", labels=labels, network_mode="host")
    (one.folder / "cert.pem").write_bytes(on_disk.chain_pem)
    return one


def test_in_a_container_the_doctor_sees_what_is_served_and_what_lies_in_the_file(
    stack: Deployment, engine: GivenEngine, tmp_path: Path
) -> None:
    authority = Authority()
    served, newer = authority.issue("mail.example.com"), authority.issue("mail.example.com")
    with serving(engine, tmp_path, served) as port:
        one = consumer(stack, port, on_disk=newer)

        stale = doctor_in_a_container(stack)
        (one.folder / "cert.pem").write_bytes(served.chain_pem)
        fresh = doctor_in_a_container(stack)

    # What certsync's stand-in cannot reach is a finding of its own.
    assert stale.ids == ["certificate_served_differs", "certificate_undeliverable"]
    assert f"serves serial {served.serial:X}"[:20] in stale.of("certificate_served_differs")["evidence"]
    assert fresh.ids == ["certificate_undeliverable"]
    assert (stale.status, stale.complaints) == (1, "")
    assert fresh.document["not_looked_at"] == []


def test_a_certificate_that_ends_soon_and_a_server_that_does_not_answer_are_told_of(
    stack: Deployment, engine: GivenEngine, tmp_path: Path
) -> None:
    ending = Authority().issue("mail.example.com", days=3)
    with serving(engine, tmp_path, ending) as port:
        consumer(stack, port, on_disk=ending)

        ends = stack.doctor()

    silent = stack.doctor()

    assert ends.ids == ["certificate_expiring", "certificate_undeliverable"]
    assert silent.ids == ["certificate_undeliverable"]
    assert [one["what"] for one in silent.document["not_looked_at"]] == ["what nginx serves"]


def test_the_image_holds_no_agents_work_and_is_small(engine: GivenEngine) -> None:
    image = call(engine.url, "GET", f"/images/{agent_image(engine, 'sidecars')}/json")[1]

    assert image["Config"]["User"] == "10001:10001"
    assert (image["Config"]["Entrypoint"], image["Config"]["Cmd"]) == (["sidecars"], ["doctor"])
    assert json.dumps(image["Config"]["Labels"]).count("wildduck-sidecars sidecars") == 1
