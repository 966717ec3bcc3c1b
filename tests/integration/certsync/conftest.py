import pytest
from certificate_authority import Authority


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
