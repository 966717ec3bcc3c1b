"""Files inside containers, out of the archives that the engine makes of them."""

import io
import tarfile
from collections.abc import Iterator

import pytest

from lab.server import SmallServer
from sidecarkit.engine import Endpoint, Engine
from sidecarkit.errors import ContainerGone, EngineError
from sidecars import files


def archive(name: str, content: bytes | None = b"", **further: object) -> bytes:
    """Make an archive of one file, or with None of one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        member = tarfile.TarInfo(name)
        member.size, member.type = len(content or b""), tarfile.REGTYPE if content is not None else tarfile.DIRTYPE
        member.pax_headers = {"comment": "as the engine adds them"}
        for key, value in further.items():
            setattr(member, key, value)
        made.addfile(member, io.BytesIO(content or b""))
    return buffer.getvalue()


class Archives:
    """An engine that answers every request with the same bytes."""

    def __init__(self, body: bytes, status: str = "200 OK") -> None:
        self._body, self._status = body, status

    def __call__(self, request: str) -> Iterator[bytes]:
        if "_ping" in request:
            yield b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\n\r\n"
            return
        yield f"HTTP/1.0 {self._status}\r\nContent-Length: {len(self._body)}\r\n\r\n".encode()
        yield self._body


def test_of_a_file_that_is_looked_at_owner_and_mode_are_told() -> None:
    with SmallServer(Archives(archive("acme.json", b"{}" * 9000, uid=1000, mode=0o100600))) as server:
        entry = files.look(Engine(Endpoint(server.url)), "certsync", "/traefik/acme.json")

    assert entry == files.Entry("file", owner=1000, mode=0o600)
    assert server.asked[-1] == "GET /v1.41/containers/certsync/archive?path=%2Ftraefik%2Facme.json"


def test_a_folder_and_a_link_are_no_file() -> None:
    with SmallServer(Archives(archive("acme.json", None))) as server:
        assert files.look(Engine(Endpoint(server.url)), "one", "/acme.json").kind == "folder"
    with SmallServer(Archives(archive("acme.json", b"", type=tarfile.SYMTYPE, linkname="other"))) as server:
        assert files.look(Engine(Endpoint(server.url)), "one", "/acme.json").kind == "link"


def test_no_more_of_a_file_is_read_than_asked_for() -> None:
    with SmallServer(Archives(archive("cert.pem", b"0123456789"))) as server:
        assert files.read(Engine(Endpoint(server.url)), "one", "/cert.pem", 4) == b"0123"


@pytest.mark.parametrize("body", [b"", b"no archive at all" * 64])
def test_what_is_no_archive_is_an_error_of_the_engine(body: bytes) -> None:
    with SmallServer(Archives(body)) as server, pytest.raises(EngineError, match=r"archive: /cert\.pem"):
        files.read(Engine(Endpoint(server.url)), "one", "/cert.pem", 4)


def test_a_path_that_does_not_exist_says_so() -> None:
    answer = Archives(b'{"message": "Could not find the file"}', "404 Not Found")
    with SmallServer(answer) as server, pytest.raises(ContainerGone):
        files.look(Engine(Endpoint(server.url)), "one", "/nothing")
