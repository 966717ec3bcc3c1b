"""What the engine's list says about whom to watch, guard and spare."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from logban import rulebook, world
from logban.firewall import Fence
from logban.policy import Jail
from logban.world import Subject
from sidecarkit.identity import Kin

NO_KIN = Kin(frozenset(), None, frozenset())
DEFAULT = ("wildduck-legacytls",)


def listed(name: str = "mail", image: str = "haraka:3", **further: Any) -> dict[str, Any]:
    labels = further.pop("labels", {"logban": "true"})
    return {"Id": f"id-{name}", "Names": [f"/{name}"], "Image": image, "State": "running", "Labels": labels, **further}


def watched(
    *documents: dict[str, Any], book: str = "", tmp_path: Path | None = None, kin: Kin = NO_KIN
) -> list[Subject]:
    file = None
    if tmp_path is not None:
        file = tmp_path / "logban.yml"
        file.write_text(book)
    return world.subjects(documents, rulebook.load(file), kin, DEFAULT, "api")


def test_a_labelled_container_is_watched_with_the_filter_of_its_image() -> None:
    (subject,) = watched(listed(image="ghcr.io/zone-eu/zonemta:3"), listed("other", labels={}))

    assert (subject.name, subject.filters, subject.guessed) == ("mail", ("zonemta",), True)
    assert subject.jails == frozenset(DEFAULT)
    assert subject.complaints == ()


@pytest.mark.parametrize("truth", ["True", "yes", "1"])
def test_the_label_is_read_in_any_spelling(truth: str) -> None:
    assert watched(listed(labels={"logban": truth}))
    assert not watched(listed(labels={"logban": "no"}))


def test_labels_name_filters_and_jails_and_mistakes_are_said() -> None:
    labels = {
        "logban": "true",
        "logban.filters": "haraka, harakka",
        "logban.jails": "mail-auth,none",
        "logban.source": "tape",
    }

    (subject,) = watched(listed(labels=labels))

    assert subject.filters == ("haraka",) and not subject.guessed
    assert len(subject.complaints) == 4
    assert any("mail-auth is off" in each for each in subject.complaints)


def test_a_container_named_in_the_rulebook_is_watched_unless_its_label_says_no(tmp_path: Path) -> None:
    book = "containers: {mail: {filters: [postfix]}}"

    (subject,) = watched(listed(labels={}), book=book, tmp_path=tmp_path)

    assert subject.filters == ("postfix",)
    assert not watched(listed(labels={"logban": "false"}), book=book, tmp_path=tmp_path)


def test_nobody_watches_himself() -> None:
    assert not watched(listed(), kin=Kin(frozenset({"id-mail"}), None, frozenset()))


def test_published_ports_are_guarded_and_on_the_hosts_network_the_exposed_ones() -> None:
    ports = [{"PrivatePort": 25, "PublicPort": 2525, "Type": "tcp"}, {"PrivatePort": 993, "Type": "tcp"}]

    (bridged,) = watched(listed(Ports=ports))
    (on_host,) = watched(listed(Ports=ports, HostConfig={"NetworkMode": "host"}))

    assert bridged.ports == {("tcp", 2525)}
    assert on_host.ports == {("tcp", 25), ("tcp", 993)}


def test_a_jail_with_ports_of_its_own_has_a_fence_of_its_own() -> None:
    jail = Jail("auth", frozenset(), {}, 1, 1, 1, ports=("465/tcp", "1000-1001", "53/udp"))
    off = Jail("off", frozenset(), {}, 1, 1, 1, ports=("1",), enabled=False)

    fences = world.fences([("tcp", 25), ("udp", 443)], [jail, off])

    assert fences == (
        Fence("", frozenset({25}), frozenset({443})),
        Fence("auth", frozenset({465, 1000, 1001}), frozenset({53, 1000, 1001})),
    )
    assert world.fence_of(jail) == "auth"


def test_container_networks_and_gateways_are_those_that_containers_are_in() -> None:
    network = {
        "IPAddress": "172.20.0.5", "IPPrefixLen": 16, "Gateway": "172.20.0.1",
        "GlobalIPv6Address": "2001:db8:1::5", "GlobalIPv6PrefixLen": 64, "IPv6Gateway": "2001:db8:1::1",
    }  # fmt: skip
    stopped = {"IPAddress": "", "IPPrefixLen": 0, "Gateway": ""}

    found = world.neighbourhood(
        [listed(NetworkSettings={"Networks": {"stack": network, "old": stopped, "none": None}})]
    )

    assert found.networks == {ip_network("172.20.0.0/16"), ip_network("2001:db8:1::/64")}
    assert found.gateways == {ip_address("172.20.0.1"): "stack", ip_address("2001:db8:1::1"): "stack"}


def test_which_network_this_process_lives_in_is_known() -> None:
    documents = [listed("logban", HostConfig={"NetworkMode": "bridge"})]

    assert world.shared_network(documents, ["id-logban"]) == "bridge"
    assert world.shared_network(documents, []) is None
