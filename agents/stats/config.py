"""All that stats can be told."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from sidecarkit import settings
from sidecarkit.agent import BasicSettings
from sidecarkit.settings import Address, setting
from stats.mongo import place
from stats.password import chosen, hashed

Network = IPv4Network | IPv6Network


def service_url(*schemes: str) -> Callable[[str], str]:
    """Take an address of one of these schemes, with a host. HTTP's may hold no password: such a one gets around."""

    def convert(value: str) -> str:
        expected = " or ".join(f"{scheme}://host:port" for scheme in schemes)
        try:
            parts = urlsplit(value.strip())
            _ = parts.port
        except ValueError:
            raise ValueError(expected) from None
        if parts.scheme not in schemes or not parts.hostname or re.search(r"\s", parts.netloc):
            raise ValueError(expected)
        if parts.scheme.startswith("http") and "@" in parts.netloc:
            raise ValueError(f"{expected}, without a password")
        return value.strip()

    return convert


def mongo_url(value: str) -> str:
    """Take a connection string of MongoDB."""
    place(value.strip())
    return value.strip()


def user_name(value: str) -> str:
    """Take a name that can be logged in with: a browser sends name and password with a colon between them."""
    if ":" in value or not value.isprintable():
        raise ValueError("a name without a colon")
    return value


def page_address(value: str) -> Address:
    """Read where the page is served; unlike the figures it cannot be switched off."""
    address = settings.listen_address(value)
    if address is None:
        raise ValueError("host:port such as 0.0.0.0:8080")
    return address


def networks(value: str) -> tuple[Network, ...]:
    """Read addresses and networks."""
    try:
        return tuple(ip_network(word, strict=False) for word in settings.words(value))
    except ValueError:
        raise ValueError("addresses or networks such as 172.20.0.0/16, separated by commas") from None


def interval(value: str) -> float:
    """Read how often to look: not more than once a second."""
    seconds = settings.duration(value)
    if seconds < 1.0:
        raise ValueError("a duration of 1s or more")
    return seconds


HTTP = service_url("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(BasicSettings):
    """Read once, at start."""

    listen: Address = setting(
        "STATS_LISTEN", page_address, default="127.0.0.1:8080", help="where the page is served, at /stats"
    )
    user: str = setting("STATS_USER", user_name, default="admin", help="who may see the page")
    password: str | None = setting(
        "STATS_PASSWORD", chosen, secret=True, help="the password: 12 characters or more, and no default one"
    )
    password_hash: str | None = setting(
        "STATS_PASSWORD_HASH",
        hashed,
        secret=True,
        help="instead of the password: what `stats hash` prints for it",
    )
    trusted_proxies: tuple[Network, ...] = setting(
        "STATS_TRUSTED_PROXIES",
        networks,
        default="",
        empty_counts=True,
        help="proxies whose X-Forwarded-For is believed, such as Traefik's network",
    )
    http: Address | None = setting(
        "STATS_HTTP",
        settings.listen_address,
        default="127.0.0.1:9183",
        empty_counts=True,
        help="where /metrics and /healthz are served; empty: nowhere",
    )
    state: Path = setting(
        "STATS_STATE",
        settings.path,
        default="/var/lib/stats",
        help="folder of the heartbeat and of what `status` prints",
    )
    interval_seconds: float = setting(
        "STATS_INTERVAL", interval, default="15s", help="how often everything is looked at; 1s or more"
    )
    project: str | None = setting(
        "STATS_PROJECT", settings.text, help="show only containers of this Compose project; default all"
    )
    queue_limit: int = setting(
        "STATS_QUEUE_LIMIT",
        settings.whole_number(),
        default="500",
        help="more deferred deliveries than this in ZoneMTA's queue are a problem",
    )
    mongo_url: str | None = setting(
        "STATS_MONGO_URL", mongo_url, secret=True, help="MongoDB, such as `mongodb://mongo:27017`"
    )
    redis_url: str | None = setting(
        "STATS_REDIS_URL", service_url("redis", "rediss"), secret=True, help="Redis, such as `redis://redis:6379`"
    )
    zonemta_url: str | None = setting(
        "STATS_ZONEMTA_URL", HTTP, help="ZoneMTA's API, such as `http://zonemta:12080`; asked for /metrics"
    )
    rspamd_url: str | None = setting(
        "STATS_RSPAMD_URL", HTTP, help="Rspamd's controller, such as `http://rspamd:11334`"
    )
    rspamd_password: str | None = setting(
        "STATS_RSPAMD_PASSWORD",
        settings.text,
        secret=True,
        help="its password; the read-only one, where enable_password is set",
    )
    wildduck_url: str | None = setting(
        "STATS_WILDDUCK_URL", HTTP, help="WildDuck's API, such as `http://wildduck:8080`; asked without a token"
    )
    webmail_url: str | None = setting(
        "STATS_WEBMAIL_URL", HTTP, help="the webmail, such as `http://webmail:3000`; asked for its icon"
    )
    opensearch_url: str | None = setting(
        "STATS_OPENSEARCH_URL", HTTP, help="OpenSearch, such as `http://opensearch:9200`"
    )
    autoheal_url: str | None = setting(
        "STATS_AUTOHEAL_URL", HTTP, help="autoheal's figures, such as `http://autoheal:9180`"
    )
    certsync_url: str | None = setting(
        "STATS_CERTSYNC_URL", HTTP, help="certsync's figures, such as `http://certsync:9181`"
    )
    confcheck_url: str | None = setting(
        "STATS_CONFCHECK_URL", HTTP, help="confcheck's figures, such as `http://confcheck:9184`"
    )
    logban_url: str | None = setting(
        "STATS_LOGBAN_URL", HTTP, help="logban's figures, such as `http://127.0.0.1:9182`; they name no address"
    )
    logban_state: Path | None = setting(
        "STATS_LOGBAN_STATE", settings.path, help="instead: logban's state folder, read-only; it knows the addresses"
    )
