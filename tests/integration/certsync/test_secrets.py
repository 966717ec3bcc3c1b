"""No byte of a private key anywhere but in key files, and no key file ever open to more than it should be."""

import base64
import ctypes
import os
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.authority import ACCOUNT, Authority, Issued, acme_json, entry
from lab.certsync import Certsync, write_as_traefik_does
from lab.wire import wait_for

NAME = "mail.example.com"


class Eye:
    """Sees every file that appears in a folder, or changes its mode there, and remembers the widest mode of each."""

    def __init__(self, folder: Path) -> None:
        self.modes: dict[str, int] = {}
        self._folder = folder
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC)
        # CREATE, ATTRIB, MODIFY, CLOSE_WRITE, MOVED_TO
        libc.inotify_add_watch(self._descriptor, os.fsencode(folder), 0x100 | 0x4 | 0x2 | 0x8 | 0x80)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while events := os.read(self._descriptor, 65536):
            at = 0
            while at < len(events):
                *_, length = struct.unpack_from("iIII", events, at)
                name = os.fsdecode(events[at + 16 : at + 16 + length].rstrip(b"\0"))
                at += 16 + length
                try:
                    mode = (self._folder / name).stat().st_mode & 0o777
                except OSError:
                    continue
                self.modes[name] = self.modes.get(name, 0) | mode


@contextmanager
def echoing_api() -> Iterator[str]:
    """Answer every request with an error that holds what was sent, as WildDuck's does; lends the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    api = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{api.server_address[1]}/certs"
    api.shutdown()
    api.server_close()


def windows(issued: Issued) -> list[bytes]:
    """Cut the key, in every form it takes, into pieces that may appear nowhere."""
    der = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    forms = [der, base64.b64encode(der), der.hex().encode(), issued.key_pem(PrivateFormat.PKCS8), issued.key_pem()]
    secret_start = {id(form): len(form) // 3 for form in forms}  # the first third may hold the public half
    return [
        form[at : at + 40]
        for form in forms
        for at in range(secret_start[id(form)], len(form) - 40, 40)
        if b"-----" not in form[at : at + 40]
    ]


def test_a_key_shows_in_its_own_files_and_nowhere_else(tmp_path: Path, authority: Authority) -> None:
    out, acme = tmp_path / "out", tmp_path / "acme.json"
    out.mkdir()
    acme.touch()
    with echoing_api() as url:
        document = f"""
sources: {{traefik: {{acme_json: {acme}}}}}
targets:
  files: {{domains: [{NAME}], certificate: {out}/c.pem, key: {out}/k.pem}}
  more: {{domains: [{NAME}], combined: {out}/both.pem, pkcs12: {out}/p.p12}}
  api: {{domains: [{NAME}], reload: {{http: {{url: "{url}"}}}}}}
  talks: {{domains: [{NAME}], combined: {out}/t.pem, reload: {{command: [sh, -c, "cat {out}/t.pem >&2; exit 3"]}}}}
  lost: {{domains: [{NAME}], key: {tmp_path}/absent/k.pem}}
"""
        eye = Eye(out)
        with Certsync(tmp_path, document, env={"LOG_LEVEL": "debug", "CERTSYNC_POLL": "1s"}, http=True) as certsync:
            seen, keys = (
                [],
                [authority.issue(NAME, kind=kind, number=n, days=9 + n) for n, kind in enumerate(["ec", "rsa2048"])],
            )
            for number, issued in enumerate(keys):
                write_as_traefik_does(acme, acme_json(le=[entry(issued)]))
                certsync.wait_for("certificate_delivered", target="talks", count=number + 1)
                certsync.wait_for("reload_failed", target="talks", count=number + 1)
                certsync.wait_for("reload_failed", target="api", count=number + 1)
                write_as_traefik_does(acme, acme_json(le=[entry(issued)])[:-200])  # torn in the middle of the key
                certsync.wait_for("source_not_read", count=number + 1)
            process = Path(f"/proc/{certsync.pid}")
            seen += [(process / name).read_bytes() for name in ("cmdline", "environ")]
            for path in ("/metrics", "/healthz"):
                wait_for(lambda path=path: _body(certsync.address, path), "it listens")
                seen.append(_body(certsync.address, path))
            seen += [certsync.command(*words).stdout.encode() for words in (("status", "--json"), ("list", "--json"))]
            seen += [certsync.report().encode(), str(certsync.lines()).encode(), certsync.stderr.encode()]
            certsync.stop()
        seen += [one.read_bytes() for one in certsync.state.rglob("*") if one.is_file()]
    everything = b"\n".join(seen)
    pieces = [piece for issued in keys for piece in windows(issued)]
    assert [piece for piece in pieces if piece in everything] == []
    assert ACCOUNT["PrivateKey"].encode() not in everything
    assert not re.search(rb"BEGIN [A-Z ]*PRIVATE KEY", everything)
    assert {one.name for one in out.iterdir()} == {"c.pem", "k.pem", "both.pem", "p.p12", "t.pem"}

    secret = {name: mode for name, mode in eye.modes.items() if not name.lstrip(".").startswith("c.pem")}
    assert secret
    assert {name: oct(mode) for name, mode in secret.items() if mode & 0o077} == {}


def _body(address: str, path: str) -> bytes:
    try:
        with urlopen(f"http://{address}{path}", timeout=5) as answer:
            return bytes(answer.read())
    except OSError as error:
        return bytes(error.read()) if hasattr(error, "read") else b""
