"""The doctor over the compose files that are shipped: they leave nothing to be mended."""

import pytest

from lab.deployment import Deployment
from lab.doctor import inside, run

pytestmark = pytest.mark.engine


def test_over_the_stack_the_shipped_files_leave_nothing_wrong(deployment: Deployment) -> None:
    report = run(
        *("doctor", "--json", "--project", deployment.compose.project),
        url=deployment.engine.url,
        prefix=inside(deployment.engine),
    )

    assert report.document["looked_at"]["agents"] == ["autoheal", "certsync", "confcheck", "logban"]
    assert report.document["not_looked_at"] == []
    assert {one["id"] for one in report.document["findings"]} <= {"clients_may_hide"}, report.printed
    assert report.status == 0
