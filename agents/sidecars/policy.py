"""Decides what is wrong with a deployment. Pure: it looks at nothing but what was gathered."""

from collections.abc import Iterable

from sidecars import certificates, exposure, healing, logs, standing
from sidecars.deployment import Deployment
from sidecars.finding import Finding, Severity

_ORDER = list(Severity)


def examine(deployment: Deployment) -> tuple[Finding, ...]:
    """Give all findings, the worst first, each once."""
    found = [
        *standing.findings(deployment),
        *healing.findings(deployment),
        *certificates.findings(deployment),
        *logs.findings(deployment),
        *exposure.findings(deployment),
        *deployment.configuration,
    ]
    once = {(one.id, one.subject.row.id if one.subject else "", one.evidence): one for one in found}
    return tuple(sorted(once.values(), key=_rank))


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong: what is merely good to know does not count."""
    return all(one.severity is Severity.INFO for one in findings)


def _rank(one: Finding) -> tuple[int, str, str]:
    return _ORDER.index(one.severity), one.subject.name if one.subject else "", one.id
