"""What a list of the engine's containers tells certsync."""

from typing import Any

from certsync import discovery
from certsync.discovery import Listed, NotListed
from sidecarkit.errors import EngineUnavailable


class Engine:
    """Lists what it is given."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self._documents = documents

    def containers(self) -> list[dict[str, Any]]:
        if not self._documents:
            raise EngineUnavailable("list: away")
        return list(self._documents)

    def __getattr__(self, _: str) -> Any:
        raise AssertionError("a look asks for the list alone")


def container(service: str, project: str = "mail", **labels: str) -> dict[str, Any]:
    compose = {"com.docker.compose.service": service, "com.docker.compose.project": project}
    name = f"/{project}-{service}-1"
    return {"Id": name.ljust(64, "0"), "Names": [name], "Labels": {"certsync": "true", **compose, **labels}}


def names(*documents: dict[str, Any]) -> list[str]:
    listed = discovery.look(Engine(*documents))
    assert isinstance(listed, Listed)
    return [one.name for one in listed.consumers]


def test_a_target_is_called_as_its_service() -> None:
    assert names(container("haraka"), container("zonemta"), container("redis", certsync="false")) == [
        "haraka",
        "zonemta",
    ]


def test_replicas_of_a_service_and_one_that_is_being_recreated_are_one_target() -> None:
    assert names(container("haraka"), container("haraka")) == ["haraka", "haraka"]


def test_services_of_one_name_in_two_projects_are_two_targets() -> None:
    assert names(container("haraka"), container("haraka", "staging")) == ["mail-haraka", "staging-haraka"]


def test_an_engine_that_is_away_lists_nothing() -> None:
    assert discovery.look(Engine()) == NotListed("list: away")
