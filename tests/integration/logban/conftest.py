"""The mail host's namespace and each firewall in it."""

from collections.abc import Iterator

import pytest

from lab import mailhost
from lab.mailhost import FENCE, Net, open_firewall
from logban.firewall import Firewall

BACKENDS = ["nftables", "iptables-nft", "iptables-legacy"]


@pytest.fixture(scope="session")
def net() -> Iterator[Net]:
    if mailhost.lacking():
        pytest.skip(f"needs {mailhost.lacking()}")
    with mailhost.built() as net:
        yield net


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def firewall(backend: str, net: Net) -> Iterator[Firewall]:
    """Each back end in the host's namespace, guarding its published ports, gone afterwards."""
    with net.host.entered():
        opened = open_firewall(backend)
        try:
            opened.guard([FENCE])
            yield opened
        finally:
            opened.uninstall()
            opened.close()
