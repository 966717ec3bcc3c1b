"""A server that cannot serve what it was given gets back what it served before."""

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.authority import Authority, acme_json, entry
from lab.certsync import Certsync, write_as_traefik_does

NAME = "mail.example.com"


class RsaOnly(socketserver.ThreadingTCPServer):
    """An older TLS server: with an EC certificate it has no cipher to offer. Reads its pair as Haraka does."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._folder, self._stamp, self._context = folder, 0, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def finish_request(self, request: object, client_address: object) -> None:
        with contextlib.suppress(OSError):
            stamp = (self._folder / "tls.ini").stat().st_mtime_ns
            if stamp != self._stamp:
                self._stamp, self._context = stamp, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._context.maximum_version = ssl.TLSVersion.TLSv1_2
                self._context.set_ciphers("aRSA")
                self._context.load_cert_chain(self._folder / "c.pem", self._folder / "k.pem")
        with contextlib.suppress(OSError):
            self._context.wrap_socket(request, server_side=True).close()  # type: ignore[arg-type]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RsaOnly]:
    with RsaOnly(tmp_path) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_the_previous_pair_is_back_and_the_new_one_is_held_until_there_is_another(
    server: RsaOnly, tmp_path: Path, authority: Authority
) -> None:
    acme = tmp_path / "acme.json"
    document = f"""
sources: {{traefik: {{acme_json: {acme}}}}}
targets:
  old:
    domains: [{NAME}]
    certificate: {tmp_path}/c.pem
    key: {tmp_path}/k.pem
    reload: {{touch: {tmp_path}/tls.ini}}
    verify: {{address: "127.0.0.1:{server.server_address[1]}"}}
"""
    good = authority.issue(NAME, kind="rsa2048", days=20)
    write_as_traefik_does(acme, acme_json(le=[entry(good)]))
    with Certsync(tmp_path, document) as certsync:
        certsync.wait_served(1, "old")
        write_as_traefik_does(acme, acme_json(le=[entry(authority.issue(NAME, kind="ec", days=30))]))
        certsync.wait_for("previous_pair_put_back", deadline=60.0)
        certsync.wait_served(2, "old")
        assert (tmp_path / "c.pem").read_bytes() == good.chain_pem
        status = certsync.status("old")
        assert (status["state"], status["reason"], status["served_in_sync"]) == ("held", "verify_failed", True)
        assert status["served"]["serial"] == f"{good.serial:X}".zfill(len(status["served"]["serial"]))

        certsync.restart()
        certsync.wait_for("started")
        assert certsync.command("sync").returncode == 1  # it has looked, and remembers what is held
        assert (tmp_path / "c.pem").read_bytes() == good.chain_pem

        renewed = authority.issue(NAME, kind="rsa2048", days=31)
        write_as_traefik_does(acme, acme_json(le=[entry(renewed)]))
        certsync.wait_served(1, "old")
        assert (tmp_path / "c.pem").read_bytes() == renewed.chain_pem
        assert certsync.status("old")["state"] == "in_sync"
        assert list((certsync.state / "previous").iterdir()) == []
