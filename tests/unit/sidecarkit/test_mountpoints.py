from pathlib import PurePosixPath

from sidecarkit.mountpoints import mount_of, mount_points


def test_the_mount_table_is_read_with_its_escapes() -> None:
    table = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 8:1 /x /with\\040space rw - ext4 /dev/sda1 rw\n"
        "torn line\n"
    )
    points = mount_points(table)
    assert points == {"/", "/with space"}
    assert mount_of("/with space/a", points) == "/with space"
    assert mount_of("/within", points) == "/"
    assert PurePosixPath("/") == PurePosixPath(mount_of("/nowhere", ()))
