"""Reload over HTTP: WildDuck's `POST /certs`, or an address that is merely called."""

import contextlib
import http.client
import json
import re
import ssl
import urllib.parse
from collections.abc import Iterator

from certsync import forms
from certsync.certificate import Offer
from certsync.refusal import Reason, RefusalError
from certsync.target import Http, Target

TIMEOUT_SECONDS = 30.0
_WORD = re.compile(r"[A-Za-z]{1,40}")


def call(asked: Http, target: Target, pair: Offer, api_token: str | None) -> str:
    """Make the call and say whom it reached. Raises `RefusalError` with `reload_failed`."""
    try:
        token = asked.token_file.read_text().strip() if asked.token_file else api_token
    except OSError as error:
        raise RefusalError(Reason.RELOAD_FAILED, f"{asked.token_file}: {error.strerror}") from None
    headers = {"X-Access-Token": token} if token else {}
    for body in _bodies(asked, target, pair):
        _send(asked, body, headers)
    return f"called {urllib.parse.urlsplit(asked.url).hostname}"


def _bodies(call: Http, target: Target, pair: Offer) -> Iterator[bytes]:
    if not call.wildduck:
        yield b""
        return
    for name in target.wanted.domains:
        document = {
            "servername": name,
            "privateKey": forms.private_key(pair).decode(),
            "cert": forms.render(forms.Form.CERTIFICATE, pair).decode(),
            "description": "certsync",
        }
        yield json.dumps(document).encode()


def _send(call: Http, body: bytes, headers: dict[str, str]) -> None:
    """Send one request. Nothing of the answer but its status and an error's code is kept: WildDuck's echoes the key."""
    parts = urllib.parse.urlsplit(call.url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        if secure
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_SECONDS)
    )
    where = f"{call.method} to {host}"
    with contextlib.closing(connection):
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(call.method, path, body or None, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            code = _error_code(answer.read(65536))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise RefusalError(Reason.RELOAD_FAILED, f"{where}: {reason}") from None
    if answer.status >= 300 or (call.wildduck and code):
        raise RefusalError(Reason.RELOAD_FAILED, f"{where}: status {answer.status} {code}".rstrip())


def _error_code(body: bytes) -> str:
    """Take the code out of WildDuck's error, such as InputValidationError; empty when there is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    code = document.get("code") if isinstance(document, dict) else None
    return code if isinstance(code, str) and _WORD.fullmatch(code) else ""
