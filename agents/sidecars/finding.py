"""What the doctor can find: every finding has an id, a severity, the evidence, and the change that mends it."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sidecars.facts import Container


class Severity(StrEnum):
    """How bad it is. Errors and warnings make the exit status 1; an info is good to know and nothing is wrong."""

    ERROR = "error"  # something that was asked for does not happen, or is open to everybody
    WARNING = "warning"  # it works, but not as well or as safely as it could, or not for long
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding, for the documentation: what it means."""

    severity: Severity
    meaning: str


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

RULES = MappingProxyType(
    {
        # The agents themselves
        "no_deployment": Rule(_ERROR, "no container asks for an agent, and none runs"),
        "agent_absent": Rule(_ERROR, "containers carry an agent's label, and there is no such agent"),
        "agent_not_running": Rule(_ERROR, "an agent's container is stopped, restarting, paused or dead"),
        "agent_unhealthy": Rule(_ERROR, "an agent says that it cannot do its work; the evidence is its own words"),
        "agent_twice": Rule(_ERROR, "two of the same agent run on one engine and get in each other's way"),
        "agent_idle": Rule(_WARNING, "an agent runs, and nothing asks for it"),
        "agent_dry_run": Rule(_INFO, "an agent only says what it would do"),
        "setting_unknown": Rule(_WARNING, "an agent was given a variable that it does not know"),
        "socket_without_proxy": Rule(_WARNING, "an agent holds the engine's socket itself, and so the whole machine"),
        "proxy_shared": Rule(_WARNING, "others can reach an agent's socket proxy over its network"),
        # What autoheal needs
        "no_healthcheck": Rule(_ERROR, "autoheal is asked to watch a container that has no healthcheck"),
        "healthcheck_of_others": Rule(_WARNING, "a healthcheck fails, passes or costs for what is not its own process"),
        "namespace_lost": Rule(_ERROR, "a container uses the network of one that is gone; a restart cannot help it"),
        "given_up": Rule(_ERROR, "autoheal has given up on a container"),
        "other_healer": Rule(_WARNING, "docker-autoheal runs beside autoheal and restarts the same containers"),
        "label_unreadable": Rule(_ERROR, "an agent cannot read a label on a container, or does not know it"),
        # What certsync needs
        "acme_missing": Rule(_ERROR, "certsync's acme.json is not there: no mount, no file, or a folder of that name"),
        "acme_unreadable": Rule(_ERROR, "certsync cannot read acme.json or what is in it"),
        "acme_single_file": Rule(_WARNING, "acme.json is mounted as a single file: a replaced one is never seen"),
        "certificate_undeliverable": Rule(_ERROR, "certsync cannot reach the place where a container wants its files"),
        "certificate_refused": Rule(_ERROR, "certsync does not deliver or reload a target; the evidence is its reason"),
        "certificate_served_differs": Rule(_ERROR, "a server serves another certificate than the one delivered to it"),
        "certificate_expiring": Rule(_WARNING, "a served certificate ends within 14 days"),
        "certificate_expired": Rule(_ERROR, "a served certificate is no longer valid"),
        "two_writers": Rule(_ERROR, "haraka-cert-sync runs beside certsync and writes the same files"),
        # What logban needs
        "log_unreadable": Rule(_ERROR, "logban is asked to read a log that the engine does not keep"),
        "log_level": Rule(_WARNING, "a log level hides what an agent, or who looks into a heal or ban, has to see"),
        "filter_not_guessed": Rule(_ERROR, "no filter is known for the image of a container that logban shall read"),
        "offences_unattributed": Rule(_INFO, "a log tells of offences without the address"),
        "clients_hidden": Rule(_WARNING, "clients come through docker-proxy: servers see a gateway's address instead"),
        "clients_may_hide": Rule(_INFO, "the same for IPv6, on a host that has no public IPv6 address so far"),
        "logban_off_host": Rule(_ERROR, "logban is not on the host's network and can ban nobody"),
        "firewall_mismatch": Rule(_WARNING, "logban's rules and the engine's lie in different firewalls"),
        # The stack
        "port_open": Rule(_ERROR, "a port that is nobody else's business is open to the world"),
        "configuration": Rule(_WARNING, "confcheck complains about a configuration file (with `--config`)"),
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. *subject* None: the deployment as a whole."""

    id: str
    subject: Container | None
    evidence: str
    remedy: str  # what to change; the lines for the compose file below it, where there are some
    severity_here: Severity | None = None  # where the finding itself says how bad it is

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.severity_here or RULES[self.id].severity
