"""Who we are: our own container and the proxy we speak through."""

from pathlib import Path

import pytest

from sidecarkit.identity import Kin, kin, own_ids

ME = "0123456789abcdef" * 4
OTHER = "f" * 64


def ids(tmp_path: Path, mountinfo: str = "", cgroup: str = "") -> frozenset[str]:
    (tmp_path / "mountinfo").write_text(mountinfo)
    (tmp_path / "cgroup").write_text(cgroup)
    return own_ids(tmp_path / "mountinfo", tmp_path / "cgroup")


@pytest.mark.parametrize("file", ["hostname", "hosts", "resolv.conf"])
def test_the_engine_mounts_files_of_our_own_over_etc(tmp_path: Path, file: str) -> None:
    line = f"665 640 254:1 /var/lib/docker/containers/{ME}/{file} /etc/{file} rw,relatime - ext4 /dev/vda1 rw\n"

    assert ids(tmp_path, line) == {ME}


def test_what_else_is_mounted_is_not_ours(tmp_path: Path) -> None:
    lines = (
        f"1 2 0:1 /docker/volumes/{OTHER}/_data /etc/app rw - ext4 /dev/vda1 rw\n"
        f"1 2 0:1 /docker/containers/{OTHER}/{OTHER}-json.log /logs/x rw - ext4 /dev/vda1 rw\n"
        f"1 2 0:1 /docker/containers/{OTHER}/hostname /mnt/hostname rw - ext4 /dev/vda1 rw\n"
    )

    assert ids(tmp_path, lines) == frozenset()


@pytest.mark.parametrize(
    "line",
    [f"12:memory:/docker/{ME}\n", f"0::/system.slice/docker-{ME}.scope\n", f"1:name=systemd:/docker/{ME}"],
)
def test_an_older_kernel_names_us_in_the_cgroup(tmp_path: Path, line: str) -> None:
    assert ids(tmp_path, "", line) == {ME}


def test_outside_of_a_container_we_are_none(tmp_path: Path) -> None:
    assert ids(tmp_path, "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n", "0::/user.slice\n") == frozenset()
    assert own_ids(tmp_path / "none", tmp_path / "none") == frozenset()


KIN = Kin(frozenset({ME}), "proxy", frozenset({"172.18.0.9"}))


@pytest.mark.parametrize(
    ("container", "names", "addresses", "is_one_of_us"),
    [
        (ME, ("x",), (), True),
        (OTHER, ("proxy", None), (), True),
        (OTHER, ("mail-proxy-1", "proxy"), (), True),
        (OTHER, ("x", None), ("10.0.0.1", "172.18.0.9"), True),
        (OTHER, ("my-proxy", None), ("172.18.0.90",), False),
    ],
)
def test_we_are_known_by_id_and_the_proxy_by_name_service_or_address(
    container: str, names: tuple[str | None, ...], addresses: tuple[str, ...], *, is_one_of_us: bool
) -> None:
    assert KIN.includes(container, names, addresses) is is_one_of_us


def test_without_a_proxy_a_container_without_a_service_is_not_one_of_us() -> None:
    assert not Kin(frozenset(), None, frozenset()).includes(OTHER, (None, "x"), ())


@pytest.mark.parametrize("host", [None, "127.0.0.1", "localhost", "nowhere.invalid"])
def test_loopback_and_what_has_no_address_is_no_proxy_container(host: str | None) -> None:
    assert kin(host).proxy_addresses == frozenset()


def test_a_proxys_address_is_looked_up() -> None:
    assert kin("192.0.2.7").proxy_addresses == {"192.0.2.7"}
