"""Where file systems are mounted, as this process sees it."""

from collections.abc import Iterable
from pathlib import PurePosixPath

_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


def mount_points(mountinfo: str) -> frozenset[str]:
    """Read the mount points out of /proc/self/mountinfo (proc(5), field 5)."""
    return frozenset(_unescaped(line.split()[4]) for line in mountinfo.splitlines() if line.count(" ") >= 5)


def own_mount_points() -> frozenset[str]:
    """Read this process's mount points; none where there is no /proc."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:  # noqa: PTH123
            return mount_points(table.read())
    except OSError:
        return frozenset()


def mount_of(path: str, points: Iterable[str]) -> str:
    """Name the mount point that *path* lies on."""
    pure = PurePosixPath(path)
    holding = (point for point in points if pure.is_relative_to(point))
    return max(holding, key=len, default="/")


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text
