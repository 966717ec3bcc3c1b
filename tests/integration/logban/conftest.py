"""The mail host's namespace and each firewall in it."""

from collections.abc import Iterator

import mailhost
import pytest
from mailhost import FENCE, Lab, open_firewall

from logban.firewall import Firewall

BACKENDS = ["nftables", "iptables-nft", "iptables-legacy"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    if mailhost.lacking():
        pytest.skip(f"needs {mailhost.lacking()}")
    with mailhost.built() as lab:
        yield lab


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def firewall(backend: str, lab: Lab) -> Iterator[Firewall]:
    """Each back end in the host's namespace, guarding the lab's ports, gone afterwards."""
    with lab.host.entered():
        opened = open_firewall(backend)
        try:
            opened.guard([FENCE])
            yield opened
        finally:
            opened.uninstall()
            opened.close()
