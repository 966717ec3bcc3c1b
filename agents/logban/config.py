"""All that logban can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from logban import rulebook
from sidecarkit import settings
from sidecarkit.agent import CommonSettings
from sidecarkit.settings import Address, setting

if TYPE_CHECKING:
    from logban.address import Network
    from logban.backends import Backend


def _networks(value: str) -> tuple[Network, ...]:
    return rulebook.networks(settings.words(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(CommonSettings):
    """Read once, at start."""

    rules: Path = setting(
        "LOGBAN_CONFIG",
        settings.path,
        default="/etc/logban/logban.yml",
        help="YAML file with jails, filters and containers beside the shipped ones; need not exist",
    )
    ignoreip: tuple[Network, ...] = setting(
        "LOGBAN_IGNOREIP", _networks, default="", help="addresses and networks that are never banned", empty_counts=True
    )
    proxies: tuple[Network, ...] = setting(
        "LOGBAN_PROXIES",
        _networks,
        default="",
        help="proxies and balancers, which speak for others and are never banned",
        empty_counts=True,
    )
    trust_seconds: float = setting(
        "LOGBAN_TRUST",
        settings.duration,
        default="24h",
        help="how long a good login or an accepted mail keeps an address from being banned",
    )
    jails: tuple[str, ...] = setting(
        "LOGBAN_JAILS",
        settings.words,
        default="wildduck-legacytls",
        help="jails of containers that name none; label `logban.jails`",
    )
    source: str = setting(
        "LOGBAN_SOURCE",
        settings.choice("api", "file"),
        default="api",
        help="where logs are read: `api`, through the engine; `file`, from the json-file driver's files, mounted"
        " read-only where the engine has them; label `logban.source`",
    )
    backend: Backend = setting(
        "LOGBAN_BACKEND",
        settings.choice("auto", "iptables", "nftables", "none"),
        default="auto",
        help="`nftables`, `iptables` (with ipset), `auto` (the first of them that works here), `none` (bans nobody)",
    )
    max_bans: int = setting(
        "LOGBAN_MAX_BANS",
        settings.whole_number(minimum=16, maximum=1_048_576),
        default="262144",
        help="sources that may be banned at one time; of more, those that expire first go",
    )
    dry_run: bool = setting(
        "LOGBAN_DRY_RUN",
        settings.boolean,
        default="false",
        help="read, judge and record, but touch no firewall; for one jail: `dry_run` in its definition",
    )
    flush_on_stop: bool = setting(
        "LOGBAN_FLUSH_ON_STOP",
        settings.boolean,
        default="false",
        help="take rules and bans out of the kernel when the agent is stopped, and put them back when it starts",
    )
    resync_seconds: float = setting(
        "RESYNC", settings.positive_duration, default="60s", help="how often all containers are listed anew"
    )
    http: Address | None = setting(
        "LOGBAN_HTTP",
        settings.listen_address,
        default="127.0.0.1:9182",
        empty_counts=True,
        help="where /metrics and /healthz are served; empty: nowhere",
    )
    state: Path = setting(
        "LOGBAN_STATE", settings.path, default="/var/lib/logban", help="folder of the bans, counts and cursors"
    )
