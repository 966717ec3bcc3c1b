"""One deployment over the stand-in stack for all tests that only look at it."""

from collections.abc import Iterator

import pytest

from lab.authority import Authority
from lab.deployment import SIDECARS, Deployment
from lab.engine import GivenEngine, PrivateEngine


@pytest.fixture(scope="session")
def host(engine: GivenEngine) -> PrivateEngine:
    """Give an engine whose network is not this machine's: logban drops packets of the network it is in."""
    if not isinstance(engine, PrivateEngine):
        pytest.skip("needs a private engine, which needs root")
    return engine


# Nobody in the stand-in stack speaks SMTP, and one of them is to be unhealthy within a second.
STANDING_IN = {
    "haraka": {"labels": {"certsync.verify": "none"}},
    "zonemta": {"labels": {"certsync.verify": "none"}},
    "rspamd": {"healthcheck": {"interval": "1s", "retries": 1, "start_period": "0s"}},
}


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="package")
def deployment(
    host: PrivateEngine, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment") / "stack"
    with Deployment(host, folder, further={"services": STANDING_IN}) as made:
        made.up()
        made.store(authority.issue("mail.example.com", days=30))
        for name in SIDECARS:
            made.container(name).wait_for(health="healthy", deadline=60.0)
        yield made
