"""What the doctor says, to people and to programs."""

from lab.deployed import agent, container, deployment, examine
from sidecarkit.masking import Mask
from sidecars import report
from sidecars.deployment import Blind
from sidecars.finding import Finding
from sidecars.survey import Seen


def test_a_finding_names_its_container_its_evidence_and_what_mends_it() -> None:
    sick = container("redis", labels={"autoheal": "true"}, config={"Healthcheck": None})
    parts = (sick, agent("autoheal"))
    seen = Seen(deployment(*parts), (), Mask())

    document = report.document(seen, examine(*parts))

    (found,) = document["findings"]
    assert {key: found[key] for key in found if key not in {"evidence", "remedy"}} == {
        "id": "no_healthcheck",
        "severity": "error",
        "project": "mail",
        "service": "redis",
        "container": "mail-redis-1",
    }
    assert (document["well"], document["not_looked_at"]) == (False, [])
    assert document["looked_at"] == {"containers": 2, "projects": ["mail"], "agents": ["autoheal"]}
    assert list(report.text(document))[-1] == "something is wrong (1 error): 2 containers looked at, autoheal running"


def test_what_is_well_is_said_in_one_line() -> None:
    parts = (container("redis", labels={"autoheal": "true"}), agent("autoheal"))

    lines = list(report.text(report.document(Seen(deployment(*parts), (), Mask()), examine(*parts))))

    assert lines == ["all is well: 2 containers looked at, autoheal running"]


def test_secrets_are_masked_in_evidence_in_remedies_and_in_what_was_not_seen() -> None:
    seen = Seen(deployment(), (Blind("x", "said s3cr3t"),), Mask(["API_TOKEN=s3cr3t"]))

    document = report.document(seen, (Finding("log_level", None, "level s3cr3t", "mend s3cr3t"),))

    (found,) = document["findings"]
    assert (found["evidence"], found["remedy"]) == ("level ***", "mend ***")
    assert document["not_looked_at"] == [{"what": "x", "why": "said ***"}]


def test_a_name_does_not_steer_a_terminal() -> None:
    seen = Seen(deployment(), (), Mask())

    lines = report.text(report.document(seen, (Finding("log_level", None, "\x1b[2J\nerror: forged", "\x1b[31mmend"),)))

    assert next(lines) == r"warning: the deployment: \x1b[2J\nerror: forged  [log_level]"
    assert next(lines) == r"    \x1b[31mmend"
