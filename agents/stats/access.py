"""Who may see the page: one user with a password, and a limit on guesses."""

import hashlib
import hmac
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock

from sidecarkit import logs
from sidecarkit.errors import SettingsError
from stats.config import Config, Network
from stats.metrics import Metrics
from stats.password import Hashed, Plain, Verifier

WINDOW_SECONDS = 60.0
FAILURES_EACH = 10  # of one client within the window
FAILURES_ALL = 100  # of all clients together
CLIENTS_KEPT = 1024
NOT_SET = "STATS_PASSWORD is not set: expected a password (12 characters or more), or its hash"
WELCOME_SECONDS = 3600.0  # so long a client that was let in is not kept out by what others do


class Admission(Enum):
    """What becomes of a request."""

    GRANTED = auto()
    UNKNOWN = auto()  # no credentials, or wrong ones: 401
    THROTTLED = auto()  # too many wrong ones: 429


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought along."""

    user: str
    password: str


@dataclass(slots=True)
class Client:
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES_EACH))
    welcome_until: float = 0.0
    told: bool = False  # that it is being throttled


class Throttle:
    """Counts failures by client and altogether, over a sliding minute. Bounded: who was not heard of longest goes."""

    def __init__(self, *, kept: int = CLIENTS_KEPT) -> None:
        self._kept = kept
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._all: deque[float] = deque(maxlen=FAILURES_ALL)
        self._strangers = Client()  # all who have not failed themselves and are kept out for what others did

    def __len__(self) -> int:
        return len(self._clients)

    def wait_seconds(self, client: str, now: float) -> float:
        """How long this client has to wait before it may try again; 0 when it may now."""
        known = self._clients.get(client)
        own = _until(known.failures, now) if known else 0.0
        welcome = known is not None and known.welcome_until > now
        return own if welcome else max(own, _until(self._all, now))

    def failed(self, client: str, now: float) -> None:
        known = self._client(client)
        known.failures.append(now)
        known.told = self._strangers.told = False
        self._all.append(now)

    def succeeded(self, client: str, now: float) -> None:
        known = self._client(client)
        known.failures.clear()
        known.welcome_until, known.told = now + WELCOME_SECONDS, False

    def is_news(self, client: str) -> bool:
        """Say whether it was not told yet, since its last failure, that this client is throttled.

        Strangers are told of as one and not remembered: ever new ones would drive out whoever was let in before.
        """
        known = self._clients.get(client, self._strangers)
        news, known.told = not known.told, True
        return news

    def _client(self, client: str) -> Client:
        known = self._clients.setdefault(client, Client())
        self._clients.move_to_end(client)
        while len(self._clients) > self._kept:
            self._clients.popitem(last=False)
        return known


def _until(failures: deque[float], now: float) -> float:
    """How long until the oldest of a full deque is out of the window."""
    if len(failures) < (failures.maxlen or 0):
        return 0.0
    return max(0.0, failures[0] + WINDOW_SECONDS - now)


class Gate:
    """Decides about each request. Safe to share between the threads that serve."""

    def __init__(
        self,
        user: str,
        verifier: Verifier,
        metrics: Metrics,
        log: logs.Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user = _digest(user)
        self._verifier, self._metrics, self._log, self._clock = verifier, metrics, log, clock
        self._throttle, self._lock = Throttle(), Lock()

    def admit(self, client: str, given: Credentials | None) -> tuple[Admission, float]:
        """Let a request in or not; with how many seconds to wait when it is one guess too many."""
        source = source_of(client)
        with self._lock:
            wait = self._throttle.wait_seconds(source, self._clock())
            if wait > 0:
                return self._turn_away(client, source, wait)
        if given is None:
            return Admission.UNKNOWN, 0.0
        # Both are compared, whatever comes of the first: how long it takes must not tell which one was wrong.
        user_is_right = hmac.compare_digest(_digest(given.user), self._user)
        password_is_right = self._verifier.is_right(given.password)
        with self._lock:
            if user_is_right and password_is_right:
                self._throttle.succeeded(source, self._clock())
                return Admission.GRANTED, 0.0
            self._throttle.failed(source, self._clock())
        self._metrics.refused.labels("wrong").inc()
        self._log.warning("login_failed", ip=client)
        return Admission.UNKNOWN, 0.0

    def _turn_away(self, client: str, source: str, wait: float) -> tuple[Admission, float]:
        self._metrics.refused.labels("throttled").inc()
        if self._throttle.is_news(source):
            self._log.warning("login_throttled", ip=client, seconds=round(wait))
        return Admission.THROTTLED, wait


def gate(config: Config, metrics: Metrics, log: logs.Log) -> Gate:
    return Gate(config.user, verifier(config), metrics, log)


def missing(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Complain when no variable gives a password."""
    names = ("STATS_PASSWORD", "STATS_PASSWORD_FILE", "STATS_PASSWORD_HASH", "STATS_PASSWORD_HASH_FILE")
    return () if any(environ.get(name) for name in names) else (NOT_SET,)


def verifier(config: Config) -> Verifier:
    """Find the password. Raises SettingsError: nobody shall see the page for want of one."""
    if config.password and config.password_hash:
        raise SettingsError(("STATS_PASSWORD and STATS_PASSWORD_HASH are both set: expected one of them",))
    if config.password_hash:
        return Hashed(config.password_hash)
    if config.password:
        return Plain(config.password)
    raise SettingsError((NOT_SET,))


def client_of(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Find who asks: the nearest address that is not a proxy we trust.

    *forwarded* is X-Forwarded-For, the nearest last. Whatever stands before an address that we do not trust was said
    by that one, and may be a lie.
    """
    client = plain(peer)
    for said in reversed(forwarded):
        if not _is_within(client, trusted):
            return client
        address = plain(said.strip())
        if address == "unknown":
            return client
        client = address
    return client


def plain(address: str) -> str:
    """Write an address in its one form; an IPv4-mapped one is IPv4. `unknown` for what is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(found)


def source_of(client: str) -> str:
    """Name whom a guess counts against: an IPv6 client has a /64 to itself."""
    return str(ip_network(f"{client}/64", strict=False)) if ":" in client else client


def _is_within(client: str, trusted: Sequence[Network]) -> bool:
    if client == "unknown":
        return False
    found = ip_address(client)
    return any(found in network for network in trusted)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
