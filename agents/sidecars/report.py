"""What the doctor says, to people and to programs."""

from collections.abc import Iterator
from typing import Any

from sidecarkit.command import printable
from sidecarkit.masking import Mask
from sidecars import policy
from sidecars.finding import Finding, Severity
from sidecars.survey import Seen


def document(seen: Seen, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Give everything as one JSON object."""
    return {
        "well": policy.is_well(findings),
        "findings": [_entry(one, seen.mask) for one in findings],
        "not_looked_at": [{"what": seen.mask(one.what), "why": seen.mask(one.why)} for one in seen.blind],
        "looked_at": {
            "containers": len(seen.deployment.judged),
            "projects": sorted({one.row.project for one in seen.deployment.judged if one.row.project}),
            "agents": sorted({one.agent for one in seen.deployment.judged if one.agent and one.running}),
        },
    }


def _entry(one: Finding, mask: Mask) -> dict[str, Any]:
    subject = one.subject.row if one.subject else None
    return {
        "id": one.id,
        "severity": one.severity,
        "project": subject.project if subject else None,
        "service": subject.service if subject else None,
        "container": subject.name if subject else None,
        "evidence": mask(one.evidence),
        "remedy": mask(one.remedy),  # an agent's own words may be in it
    }


def text(report: dict[str, Any]) -> Iterator[str]:
    """Give a document as lines for people."""
    for one in report["findings"]:
        place = one["container"] or "the deployment"
        yield f"{one['severity']}: {printable(place)}: {printable(one['evidence'])}  [{one['id']}]"
        yield from (f"    {printable(line)}" for line in one["remedy"].splitlines())
        yield ""
    for one in report["not_looked_at"]:
        yield f"not looked at: {printable(one['what'])}: {printable(one['why'])}"
    yield _summary(report)


def _summary(report: dict[str, Any]) -> str:
    seen = report["looked_at"]
    agents = ", ".join(seen["agents"]) or "no agent"
    about = f"{seen['containers']} containers looked at, {agents} running"
    counts = [(severity, sum(one["severity"] == severity for one in report["findings"])) for severity in Severity]
    told = ", ".join(f"{count} {severity}" + ("s" if count > 1 else "") for severity, count in counts if count)
    return f"{'all is well' if report['well'] else 'something is wrong'}{f' ({told})' if told else ''}: {about}"
