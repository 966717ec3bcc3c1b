"""All that logban can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from logban import rulebook
from sidecarkit import settings
from sidecarkit.agent import CommonSettings
from sidecarkit.settings import setting

if TYPE_CHECKING:
    from logban.address import Network


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
