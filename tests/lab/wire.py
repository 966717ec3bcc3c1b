"""Single requests to an engine, for what the lab needs and no agent uses, such as removing and importing.

Kept apart from the kit's own Engine: the instrument is not the thing that is measured.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any, TypeVar
from urllib.parse import urlencode

from sidecarkit.engine import Endpoint

T = TypeVar("T")


def call(  # noqa: PLR0913 - one request, read by its keywords
    url: str,
    method: str,
    path: str,
    query: Mapping[str, Any] | None = None,
    *,
    body: bytes | Mapping[str, Any] | None = None,
    timeout_seconds: float = 60.0,
    decoded: bool = True,
) -> tuple[int, Any]:
    """Ask the engine at *url*; returns status and answer: text where it is not JSON or not to be *decoded*."""
    kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    target = path + (f"?{urlencode(query)}" if query else "")
    with closing(Endpoint(url).connect(timeout_seconds)) as connection:
        connection.request(method, target, content, {"Content-Type": kind} if content is not None else {})
        response = connection.getresponse()
        answer = response.read()
    if decoded:
        with suppress(ValueError):
            return response.status, json.loads(answer)
    return response.status, answer.decode(errors="replace")


def demand(url: str, method: str, path: str, query: Mapping[str, Any] | None = None, **further: Any) -> Any:
    """Ask as `call` does and insist on success; returns the answer."""
    status, answer = call(url, method, path, query, **further)
    if status >= 400:
        raise AssertionError(f"{method} {path}: {status} {answer}")
    return answer


def wait_for(look: Callable[[], T], what: str = "", *, deadline: float = 30.0, pause: float = 0.02) -> T:
    """Call *look* until what it returns is true, and return that; after *deadline* seconds the test fails."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= end:
            raise AssertionError(
                f"not within {deadline:g} s: {what or getattr(look, '__name__', look)}; last {found!r}"
            )
        time.sleep(pause)


def without_version(path: str) -> str:
    """Drop the API version from a path: `/v1.41/events` is `/events`."""
    return re.sub(r"^/v\d+\.\d+(?=/)", "", path)
