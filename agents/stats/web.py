"""The page over HTTP: Flask answers from the snapshot, waitress serves. Nothing can be changed through it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from flask import Flask, Response, request
from waitress.server import create_server
from werkzeug.exceptions import HTTPException, InternalServerError

from sidecarkit import logs
from sidecarkit.errors import SidecarError
from stats import page, report
from stats.access import Admission, Credentials, Gate, client_of
from stats.config import Config
from stats.metrics import Metrics
from stats.snapshot import Snapshot

# fmt: off
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
                               "img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# fmt: on
REALM = 'Basic realm="stats", charset="UTF-8"'
METHODS = ("GET", "HEAD")
REFRESH_SECONDS = (5, 3600)
OPEN = "/healthz"
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made of."""

    config: Config
    gate: Gate
    snapshot: Callable[[], Snapshot]
    metrics: Metrics
    log: logs.Log
    clock: Callable[[], float] = time.time

    def document(self) -> tuple[Snapshot, dict[str, Any]]:
        """Describe what is known at this moment."""
        snapshot = self.snapshot()
        return snapshot, report.document(snapshot, self.clock(), self.config.queue_limit)


def application(site: Site) -> Flask:
    """Make the pages of *site*."""
    app = Flask("stats", static_folder=None)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.url_map.strict_slashes = False
    app.jinja_env.get_template("page.html")  # compiled now, and not under the eyes of the first who asks
    app.jinja_env.get_template("main.html")

    def route(path: str, answer: Callable[[], Any]) -> None:
        app.add_url_rule(path, path, answer, methods=METHODS, provide_automatic_options=False)

    route("/", lambda: flask.redirect("/stats"))
    route("/stats", lambda: _page(site))
    route("/stats.json", lambda: _json(site))
    route(OPEN, lambda: Response("ok\n", content_type="text/plain; charset=utf-8"))
    for name, kind in (("style.css", "text/css"), ("script.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        route(f"/stats/{name}", _file((STATIC / name).read_bytes(), f"{kind}; charset=utf-8"))
    app.before_request(lambda: _admitted(site))
    app.after_request(_with_headers)
    app.register_error_handler(HTTPException, lambda error: _in_words(site, error))
    return app


def _admitted(site: Site) -> Response | None:
    """Answer whoever is not let in; None lets the request go on. What is no question is refused before that."""
    if request.method not in METHODS:
        return _text(405, "GET and HEAD only", Allow="GET, HEAD")
    if request.path == OPEN:
        return None
    forwarded = request.headers.getlist("X-Forwarded-For")
    addresses = [address for line in forwarded for address in line.split(",")]
    client = client_of(request.remote_addr or "", addresses, site.config.trusted_proxies)
    admission, wait = site.gate.admit(client, _credentials())
    if admission is Admission.THROTTLED:
        return _text(429, "too many failed logins", **{"Retry-After": str(int(wait) + 1)})
    if admission is Admission.UNKNOWN:
        return _text(401, "user and password, please", **{"WWW-Authenticate": REALM})
    return None


def _credentials() -> Credentials | None:
    given = request.authorization
    if given is None or given.type != "basic":
        return None
    return Credentials(given.username or "", given.password or "")


def _page(site: Site) -> Response:
    snapshot, document = site.document()
    is_fragment = request.args.get("fragment") == "1"
    body = flask.render_template(
        "main.html" if is_fragment else "page.html",
        **page.context(snapshot, document),
        refresh_seconds=_refresh(request.args.get("refresh", "")),
    )
    return Response(body, content_type="text/html; charset=utf-8")


def _json(site: Site) -> Response:
    _, document = site.document()
    return Response(json.dumps(document, indent=2) + "\n", content_type="application/json")


def _file(content: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, content_type=kind)


def _refresh(asked: str) -> int | None:
    """Read ?refresh=30: the page without script loads itself anew when it is asked to, never of its own accord."""
    shortest, longest = REFRESH_SECONDS
    return min(max(int(asked), shortest), longest) if asked.isascii() and asked.isdigit() and len(asked) < 6 else None


def _in_words(site: Site, error: HTTPException) -> Response:
    if isinstance(error, InternalServerError):
        site.metrics.errors.labels("page").inc()
        site.log.exception("page_failed", path=request.path)  # noqa: LOG004 - Flask calls this in its handler
    return _text(error.code or 500, error.name.lower())


def _text(status: int, text: str, **headers: str) -> Response:
    return Response(f"{text}\n", status, headers, content_type="text/plain; charset=utf-8")


def _with_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


class PageServer:
    """waitress in a thread of its own."""

    def __init__(self, site: Site) -> None:
        """Bind at once. Raises SidecarError when the address is not to be had."""
        address = site.config.listen
        try:
            self._server = create_server(
                application(site),
                host=address.host,
                port=address.port,
                threads=4,
                connection_limit=200,
                channel_timeout=30,
                max_request_body_size=1024,
                max_request_header_size=16384,
                ident=None,
                clear_untrusted_proxy_headers=False,  # who is to be trusted is ours to say
            )
        except OSError as error:
            raise SidecarError(f"the page cannot be served at {address}: {error.strerror or error}") from None
        except ValueError:  # so waitress says that a host's name leads nowhere
            raise SidecarError(f"the page cannot be served at {address}: this is no address of this machine") from None
        self._log, self._address = site.log, address
        self._thread = threading.Thread(target=self._server.run, name="page", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._log.info("page_listening", address=str(self._address))

    def close(self) -> None:
        self._server.close()
