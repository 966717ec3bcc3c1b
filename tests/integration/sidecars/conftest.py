"""An engine of their own: to the doctor every agent on an engine is one of the deployment's."""

import os
from collections.abc import Iterator

import pytest

from lab.engine import PrivateEngine


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    """Start an engine on which nobody else's agents run."""
    if os.geteuid() != 0:
        pytest.skip("needs a private engine, which needs root")
    with PrivateEngine() as private:
        yield private
