"""Real WildDuck: its API takes the pair, and IMAP and POP3 clients that send a server name see it at once."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certsync import probe
from certsync.target import Endpoint
from lab import databases, npm
from lab.agent import free_port
from lab.authority import Authority, Issued, acme_json, entry
from lab.certsync import Certsync, server, write_as_traefik_does
from lab.wire import wait_for

NAME = "imap.example.com"
TOKEN = "a-token-of-the-test"


@dataclass
class Stage:
    """A WildDuck with its API and two ports that speak TLS, and Traefik's store."""

    api: int
    imap: int
    pop3: int
    acme: Path

    def renew(self, issued: Issued) -> None:
        write_as_traefik_does(self.acme, acme_json(le=[entry(issued)]))

    def serial(self, port: int) -> int:
        return probe.look(Endpoint("127.0.0.1", port), NAME).certificate.serial


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Stage]:
    package = npm.install("wildduck") / "node_modules" / "@zone-eu" / "wildduck"
    stage = Stage(free_port(), free_port(), free_port(), folder / "acme.json")
    stage.acme.touch()
    with databases.redis(folder) as redis, databases.mongo(folder) as mongo:
        configuration = {
            "processes": 1,
            "dbs": {"mongo": f"mongodb://127.0.0.1:{mongo}/wildduck", "redis": {"host": "127.0.0.1", "port": redis}},
            "api": {"port": stage.api, "host": "127.0.0.1", "accessToken": TOKEN},
            "imap": {"port": stage.imap, "host": "127.0.0.1"},
            "pop3": {"enabled": True, "port": stage.pop3, "host": "127.0.0.1", "secure": True},
            "lmtp": {"enabled": False},
        }
        (folder / "wildduck.json").write_text(json.dumps(configuration))
        environ = {"NODE_CONFIG_DIR": str(package / "config"), "NODE_CONFIG_PATH": str(folder / "wildduck.json")}
        with server(["node", str(package / "server.js")], folder, stage.imap, environ):
            yield stage


def test_a_renewal_is_served_to_imap_and_pop3_through_the_api(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with running(tmp_path) as stage:
        target = f"""
    domains: [{NAME}]
    reload: {{http: {{url: "http://127.0.0.1:{stage.api}/certs", token_file: {tmp_path}/token}}}}
"""
        document = f"sources: {{traefik: {{acme_json: {stage.acme}}}}}\ntargets:"
        for name, port in (("imap", stage.imap), ("pop3", stage.pop3)):
            document += f'\n  {name}:{target}    verify: {{address: "127.0.0.1:{port}"}}\n'
        with Certsync(tmp_path, document) as certsync:
            for number, kind in enumerate(["rsa2048", "ec", "rsa2048"]):
                issued = authority.issue(NAME, kind=kind, number=number, days=10 + number)
                stage.renew(issued)
                for name, port in (("imap", stage.imap), ("pop3", stage.pop3)):
                    certsync.wait_served(number + 1, name, deadline=60.0)
                    assert stage.serial(port) == issued.serial
            wait_for(lambda: certsync.status("imap")["state"] == "in_sync", "all is in sync")
