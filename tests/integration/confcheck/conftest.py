import pytest

from lab.authority import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
