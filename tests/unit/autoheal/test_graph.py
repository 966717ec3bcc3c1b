"""The graph: Compose's labels in all their forms, ours, and shared namespaces."""

import pytest

from autoheal.graph import COMPLETED, HEALTHY, STARTED, Dependency, Edge, Graph, Node, edges

DEPENDS_ON = "com.docker.compose.depends_on"


def node(  # noqa: PLR0913 - what a label may say
    name: str,
    label: str = "",
    *,
    project: str | None = "mail",
    service: str | None = None,
    donors: tuple[str, ...] = (),
    by_hand: tuple[str, ...] = (),
    one_off: str | None = None,
) -> Node:
    """Make a container whose id is its name."""
    labels = {DEPENDS_ON: label} if label else {}
    if project:
        labels |= {"com.docker.compose.project": project, "com.docker.compose.service": service or name}
    if one_off:
        labels["com.docker.compose.oneoff"] = one_off
    return Node(name, name, labels, frozenset(donors), by_hand)


def names(dependencies: tuple[Dependency, ...]) -> list[str]:
    return [dependency.on for dependency in dependencies]


# Labels


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("", ()),
        ("mongo:service_healthy:true", (Edge("mongo", HEALTHY, restart=True),)),
        ("mongo:service_healthy:false", (Edge("mongo", HEALTHY, restart=False),)),
        ("mongo:service_healthy:True", (Edge("mongo", HEALTHY, restart=True),)),
        ("mongo:service_healthy", (Edge("mongo", HEALTHY, restart=True),)),
        ("mongo", (Edge("mongo", STARTED, restart=True),)),
        ("mongo::false", (Edge("mongo", STARTED, restart=False),)),
        (
            "mongo:service_healthy:true,redis:service_started:false,init:service_completed_successfully:false",
            (
                Edge("mongo", HEALTHY, restart=True),
                Edge("redis", STARTED, restart=False),
                Edge("init", COMPLETED, restart=False),
            ),
        ),
        (" mongo:service_started:false , ,", (Edge("mongo", STARTED, restart=False),)),
        (":service_healthy:true", ()),
    ],
)
def test_composes_label_is_read_in_all_its_forms(label: str, found: tuple[Edge, ...]) -> None:
    assert edges(node("haraka", label)) == found


def test_our_own_label_adds_services_that_need_no_restart_after_them() -> None:
    assert edges(node("haraka", "redis:service_started:false", by_hand=("mongo",))) == (
        Edge("mongo", "", restart=False),
        Edge("redis", STARTED, restart=False),
    )


def test_where_both_name_a_service_composes_label_counts() -> None:
    both = node("haraka", "mongo:service_healthy:true", by_hand=("mongo",))

    assert edges(both) == (Edge("mongo", HEALTHY, restart=True),)


# Resolution


def test_a_service_means_its_containers_of_the_same_project() -> None:
    graph = Graph(
        [
            node("haraka", "mongo:service_healthy:false"),
            node("mongo-1", service="mongo"),
            node("mongo-2", service="mongo"),
            node("other-mongo", service="mongo", project="shop"),
        ]
    )

    assert graph.direct("haraka") == (
        Dependency("mongo-1", HEALTHY, restart=False),
        Dependency("mongo-2", HEALTHY, restart=False),
    )


def test_a_service_that_does_not_exist_is_no_dependency() -> None:
    assert Graph([node("haraka", "mongo:service_healthy:true")]).direct("haraka") == ()


@pytest.mark.parametrize("truth", ["True", "true"])
def test_a_one_off_container_stands_for_no_service(truth: str) -> None:
    run = node("mongo-run-1", service="mongo", one_off=truth)

    assert Graph([node("haraka", "mongo:service_started:true"), run]).direct("haraka") == ()


def test_our_own_label_names_a_service_or_a_container_outside_of_compose() -> None:
    graph = Graph(
        [
            node("haraka", by_hand=("mongo", "vpn")),
            node("mail-mongo-1", service="mongo"),
            node("mongo", project=None),
            node("vpn", project=None),
        ]
    )

    assert names(graph.direct("haraka")) == ["mail-mongo-1", "vpn"]


def test_our_own_label_works_without_compose() -> None:
    assert names(Graph([node("app", project=None, by_hand=("db",)), node("db", project=None)]).direct("app")) == ["db"]


def test_composes_label_never_names_a_container_of_another_project() -> None:
    assert Graph([node("haraka", "vpn:service_started:true"), node("vpn", project=None)]).direct("haraka") == ()


def test_a_container_never_depends_on_itself() -> None:
    graph = Graph([node("haraka", "haraka:service_healthy:true", by_hand=("haraka",))])

    assert (graph.direct("haraka"), graph.all("haraka"), graph.followers("haraka")) == ((), (), ())


def test_a_donor_of_namespaces_is_a_dependency_that_is_followed() -> None:
    graph = Graph([node("vpn"), node("torrent", donors=("vpn",))])

    assert graph.direct("torrent") == (Dependency("vpn", STARTED, restart=True, donor=True),)
    assert graph.followers("vpn") == ("torrent",)


def test_a_donor_that_compose_names_too_keeps_composes_condition_and_is_one_dependency() -> None:
    graph = Graph([node("vpn"), node("torrent", "vpn:service_healthy:false", donors=("vpn",))])

    assert graph.direct("torrent") == (Dependency("vpn", HEALTHY, restart=True, donor=True),)


def test_an_unknown_container_needs_nothing_and_has_no_followers() -> None:
    assert (Graph([]).direct("x"), Graph([]).all("x"), Graph([]).followers("x")) == ((), (), ())


# Transitivity


def test_a_chain_is_followed_to_its_end() -> None:
    graph = Graph([node("c", "b:service_healthy:true"), node("b", "a:service_healthy:true"), node("a")])

    assert names(graph.all("c")) == ["b", "a"]


def test_the_bottom_of_a_diamond_is_found_once() -> None:
    graph = Graph(
        [
            node("top", "left:service_started:true,right:service_started:true"),
            node("left", "bottom:service_started:true"),
            node("right", "bottom:service_started:true"),
            node("bottom"),
        ]
    )

    assert names(graph.all("top")) == ["left", "right", "bottom"]
    assert graph.followers("bottom") == ("left", "right")


def test_a_cycle_ends() -> None:
    graph = Graph(
        [node("a", "b:service_started:true"), node("b", "c:service_started:true"), node("c", "a:service_started:true")]
    )

    assert names(graph.all("a")) == ["b", "c"]


def test_only_dependants_that_ask_for_it_follow() -> None:
    graph = Graph(
        [
            node("mongo"),
            node("yes", "mongo:service_healthy:true"),
            node("no", "mongo:service_healthy:false"),
            node("old", "mongo:service_healthy"),
            node("ours", by_hand=("mongo",)),
        ]
    )

    assert graph.followers("mongo") == ("yes", "old")
