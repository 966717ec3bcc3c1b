"""Everything autoheal can be told, declared once. Variables of docker-autoheal keep their names and meaning."""

from dataclasses import dataclass
from pathlib import Path

from sidecarkit import notify, settings
from sidecarkit.agent import CommonSettings
from sidecarkit.engine import Endpoint, address, endpoint, tls_context
from sidecarkit.errors import SettingsError
from sidecarkit.settings import Address, setting

ACTIONS = ("restart", "stop", "kill", "notify")
WILLFARRELL_CERTS = Path("/certs")
WILLFARRELL_NAMES = ("ca.pem", "client-cert.pem", "client-key.pem")


def whole_seconds(value: str) -> int:
    """Read a duration for the engine, which takes whole seconds."""
    return round(settings.duration(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(CommonSettings):
    """All that autoheal can be told. Read once, at start."""

    label: str = setting(
        "AUTOHEAL_CONTAINER_LABEL",
        settings.text,
        default="autoheal",
        help="label that opts a container in when it is true; `all`: every container with a healthcheck",
    )
    scope: str = setting(
        "AUTOHEAL_SCOPE",
        settings.choice("all", "project"),
        default="all",
        help="`project`: only containers of autoheal's own Compose project, or of the one in COMPOSE_PROJECT_NAME",
    )
    interval_seconds: float = setting(
        "AUTOHEAL_INTERVAL",
        settings.positive_duration,
        default="30s",
        help="how often everything is looked at again; events are acted on at once",
    )
    start_period_seconds: float = setting(
        "AUTOHEAL_START_PERIOD", settings.duration, default="0s", help="do nothing for this long after the start"
    )
    action: str = setting(
        "AUTOHEAL_ACTION",
        settings.choice(*ACTIONS),
        default="restart",
        help="what to do: `restart`, `stop`, `kill`, `notify`; label `autoheal.action`",
    )
    default_stop_timeout_seconds: int | None = setting(
        "AUTOHEAL_DEFAULT_STOP_TIMEOUT",
        whole_seconds,
        help="seconds between SIGTERM and SIGKILL; default the container's own; label `autoheal.stop.timeout`",
    )
    hold_seconds: float = setting(
        "AUTOHEAL_HOLD",
        settings.duration,
        default="0s",
        help="act only when unhealthy for this long; label `autoheal.hold`",
    )
    max_restarts: int = setting(
        "AUTOHEAL_MAX_RESTARTS",
        settings.whole_number(minimum=1),
        default="5",
        help="give up after so many failed heals within the window; label `autoheal.max-restarts`",
    )
    window_seconds: float = setting(
        "AUTOHEAL_WINDOW",
        settings.positive_duration,
        default="1h",
        help="the window of the budget above; label `autoheal.window`",
    )
    backoff_seconds: float = setting(
        "AUTOHEAL_BACKOFF",
        settings.duration,
        default="10s",
        help="wait before a second heal, doubling to 5m, forgotten after 10 healthy minutes; label `autoheal.backoff`",
    )
    exited: bool = setting(
        "AUTOHEAL_EXITED",
        settings.boolean,
        default="false",
        help="also heal containers that exited with an error and were not stopped by hand; label `autoheal.exited`",
    )
    depends_on: tuple[str, ...] = setting(
        "AUTOHEAL_DEPENDS_ON",
        settings.words,
        default="",
        empty_counts=True,
        help="services to heal before any other, beside Compose's depends_on; label `autoheal.depends-on`",
    )
    dependency_wait_seconds: float = setting(
        "AUTOHEAL_DEPENDENCY_WAIT",
        settings.duration,
        default="2m",
        help="the longest a sick container waits for what it depends on",
    )
    max_parallel: int = setting(
        "AUTOHEAL_MAX_PARALLEL",
        settings.whole_number(minimum=1, maximum=64),
        default="3",
        help="restarts in flight at one time",
    )
    storm_guard: bool = setting(
        "AUTOHEAL_STORM_GUARD",
        settings.boolean,
        default="true",
        help="when more than half (and at least 5) turn sick within 30 s: heal one, and the rest once it is healthy",
    )
    stale: str = setting(
        "AUTOHEAL_STALE",
        settings.choice("notify", "restart"),
        default="notify",
        help="what to do when a running container's probes have stopped: `notify` or `restart`",
    )
    dry_run: bool = setting(
        "AUTOHEAL_DRY_RUN", settings.boolean, default="false", help="decide and record, but touch nothing"
    )
    evidence_lines: int = setting(
        "AUTOHEAL_EVIDENCE_LINES",
        settings.whole_number(maximum=10_000),
        default="200",
        help="log lines kept from before a heal; 0 keeps none and needs no access to logs",
    )
    http: Address | None = setting(
        "AUTOHEAL_HTTP",
        settings.listen_address,
        default="127.0.0.1:9180",
        empty_counts=True,
        help="where /metrics and /healthz are served; empty: nowhere",
    )
    state: Path = setting(
        "AUTOHEAL_STATE", settings.path, default="/var/lib/autoheal", help="folder of the history and the budgets"
    )
    only_monitor_running: bool = setting(
        "AUTOHEAL_ONLY_MONITOR_RUNNING",
        settings.boolean,
        default="true",
        help="accepted for docker-autoheal: a container that does not run is never restarted for its health",
    )
    docker_sock: str | None = setting(
        "DOCKER_SOCK",
        address,
        help="docker-autoheal's DOCKER_HOST: a path, `tcp://`, or `tcps://` with client certificates in /certs",
    )
    request_timeout_seconds: float = setting(
        "CURL_TIMEOUT",
        settings.positive_duration,
        default="30s",
        help="the longest an answer of the engine is waited for; a stop's own time comes on top",
    )
    apprise_url: str | None = setting(
        "APPRISE_URL",
        settings.http_url,
        secret=True,
        help="address of an Apprise API server, which gets title and body",
    )
    post_restart_script: Path | None = setting(
        "POST_RESTART_SCRIPT",
        settings.path,
        help="run after each restart with: name, short id, state, stop timeout",
    )

    def engine_endpoint(self) -> Endpoint:
        """DOCKER_HOST, or else DOCKER_SOCK as docker-autoheal reads it. Raises SettingsError."""
        if self.docker_host or not self.docker_sock:
            return CommonSettings.engine_endpoint(self)
        try:
            if not self.docker_sock.startswith("tcps://"):
                return endpoint(self.docker_sock, bool(self.docker_tls_verify), self.docker_cert_path)
            return Endpoint(self.docker_sock, tls_context(WILLFARRELL_CERTS, verify=True, names=WILLFARRELL_NAMES))
        except ValueError as error:
            raise SettingsError((f"DOCKER_SOCK={self.docker_sock!r}: expected {error}",)) from None

    def targets(self) -> list[notify.Target]:
        found = CommonSettings.targets(self)
        if self.apprise_url:
            found.append(notify.AppriseServer(self.apprise_url))
        return found
