"""The doctor over the compose files that are shipped: what they leave to be mended is what only a person can decide."""

import pytest

from lab.deployment import Deployment
from lab.doctor import inside, run

pytestmark = pytest.mark.engine


def test_over_the_stack_the_shipped_files_leave_nothing_wrong_but_what_is_the_stacks_own(
    deployment: Deployment,
) -> None:
    report = run(
        *("doctor", "--json", "--project", deployment.compose.project),
        url=deployment.engine.url,
        prefix=inside(deployment.engine),
    )

    assert report.document["looked_at"]["agents"] == ["autoheal", "certsync", "logban"]
    assert report.document["not_looked_at"] == []
    # Upstream's Traefik logs at INFO; its command is a list that another file can only replace as a whole.
    assert {one["id"] for one in report.document["findings"]} - {"clients_may_hide"} == {"log_level"}, report.printed
    assert report.of("log_level")["service"] == "traefik"
