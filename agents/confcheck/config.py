"""Everything confcheck can be told, declared once."""

from dataclasses import dataclass
from pathlib import Path

from sidecarkit import settings
from sidecarkit.agent import CommonSettings
from sidecarkit.settings import Address, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(CommonSettings):
    """All that confcheck can be told. Read once, at start."""

    root: Path = setting(
        "CONFCHECK_ROOT",
        settings.path,
        default="/config",
        help="folder that holds wildduck/, zone-mta/, haraka/, rspamd/ and wildduck-webmail/, or some of them",
    )
    rules: Path = setting(
        "CONFCHECK_RULES",
        settings.path,
        default="/etc/confcheck/rules.yml",
        help="rules of your own, beside those that ship; may be absent",
    )
    allow: Path = setting(
        "CONFCHECK_ALLOW",
        settings.path,
        default="/etc/confcheck/allow.yml",
        help="findings to be silent about, each with its reason; may be absent",
    )
    node_env: str = setting(
        "CONFCHECK_NODE_ENV",
        settings.text,
        default="production",
        help="NODE_ENV of the servers' containers: which files they read besides `default.toml`",
    )
    interval_seconds: float = setting(
        "CONFCHECK_INTERVAL", settings.positive_duration, default="5m", help="how often everything is looked at"
    )
    http: Address | None = setting(
        "CONFCHECK_HTTP",
        settings.listen_address,
        default="127.0.0.1:9184",
        empty_counts=True,
        help="where /metrics and /healthz are served; empty: nowhere",
    )
    state: Path = setting(
        "CONFCHECK_STATE",
        settings.path,
        default="/var/lib/confcheck",
        help="folder that confcheck remembers in what it has told",
    )
