"""The frame of an agent: the settings that all have, and what is built from them."""

from dataclasses import dataclass
from pathlib import Path

from sidecarkit import notify, settings
from sidecarkit.engine import Endpoint, address, endpoint
from sidecarkit.errors import SettingsError
from sidecarkit.settings import setting


# Without slots: classes that have them cannot be mixed.
@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Where the engine is."""

    docker_host: str | None = setting(
        "DOCKER_HOST", address, help="the engine: `unix://` or `tcp://`; default the local socket"
    )
    docker_tls_verify: str | None = setting(
        "DOCKER_TLS_VERIFY", settings.text, help="not empty: TLS, and the engine's certificate is verified"
    )
    docker_cert_path: Path | None = setting(
        "DOCKER_CERT_PATH", settings.path, help="folder with ca.pem, cert.pem and key.pem for TLS"
    )

    def engine_endpoint(self) -> Endpoint:
        """Where the engine is. Raises SettingsError."""
        try:
            return endpoint(self.docker_host, bool(self.docker_tls_verify), self.docker_cert_path)
        except ValueError as error:
            shown = f"DOCKER_HOST={self.docker_host!r}, DOCKER_CERT_PATH={str(self.docker_cert_path or '')!r}"
            raise SettingsError((f"{shown}: expected {error}",)) from None


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What every agent can be told."""

    log_level: str = setting(
        "LOG_LEVEL",
        settings.choice("debug", "info", "warning", "error"),
        default="info",
        help="how much is logged: debug, info, warning, error",
    )
    log_format: str | None = setting(
        "LOG_FORMAT",
        settings.choice("json", "console"),
        help="`json` or `console`; default JSON unless stdout is a terminal",
    )


@dataclass(frozen=True, kw_only=True)
class NoticeSettings:
    """Where notices go."""

    notify_urls: tuple[str, ...] | None = setting(
        "NOTIFY_URLS",
        settings.urls,
        secret=True,
        help="where to tell people: Apprise URLs, separated by commas or spaces",
    )
    webhook_url: str | None = setting(
        "WEBHOOK_URL", settings.http_url, secret=True, help="address that gets a JSON POST for each notice"
    )
    webhook_json_key: str | None = setting(
        "WEBHOOK_JSON_KEY",
        settings.text,
        help="send one JSON field of this name, with the text; default all facts, the text in `text` and `content`",
    )

    def targets(self) -> list[notify.Target]:
        """Where notices go."""
        found: list[notify.Target] = []
        found.extend(notify.AppriseUrl(url, number) for number, url in enumerate(self.notify_urls or (), start=1))
        if self.webhook_url:
            found.append(notify.Webhook(self.webhook_url, self.webhook_json_key))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicSettings(LogSettings, EngineSettings):
    """What an agent can be told that asks the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings(NoticeSettings, LogSettings, EngineSettings):
    """What an agent can be told that asks the engine and sends notices."""
