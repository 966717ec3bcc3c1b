"""One GET over HTTP, with a limit on time and size. No redirect is followed: a source is where it was said to be."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from stats.source import SourceDown

LARGEST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, and how long it took to the last byte, in seconds."""

    status: int
    body: bytes
    seconds: float


def get(
    base: str, path: str, timeout_seconds: float, headers: Mapping[str, str] | None = None, *, whole: bool = True
) -> Answer:
    """Ask *base* (`http://host:port`, perhaps with a path) for *path*; not *whole*: the status is enough.

    Raises SourceDown when no answer comes in time; any status is an answer.
    """
    parts = urlsplit(base)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    started = time.monotonic()
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
    with closing(connection), told(timeout_seconds):
        connection.request("GET", parts.path.rstrip("/") + path, headers=dict(headers or {}))
        response = connection.getresponse()
        body = _read(response, started + timeout_seconds) if whole else b""
    return Answer(response.status, body, time.monotonic() - started)


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    body = bytearray()
    while part := response.read1(65536):
        body += part
        if len(body) > LARGEST_BYTES:
            raise SourceDown(f"answers with more than {LARGEST_BYTES // 2**20} MiB")
        if time.monotonic() > until:  # each part may come in time and the whole never
            raise TimeoutError
    return bytes(body)


@contextmanager
def told(timeout_seconds: float) -> Iterator[None]:
    """Turn what the transport raises into words without an address."""
    try:
        yield
    except TimeoutError:
        raise SourceDown(f"no answer within {timeout_seconds:g} s") from None
    except ConnectionRefusedError:
        raise SourceDown("refuses connections") from None
    except socket.gaierror:
        raise SourceDown("its name is not found") from None
    except ssl.SSLError as error:
        raise SourceDown(f"TLS failed ({error.reason or 'unknown reason'})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise SourceDown(f"the connection failed ({reason})") from None
