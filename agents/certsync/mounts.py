"""Mount tables of containers, as the engine tells them.

A consumer names files by its own paths. certsync writes them through a mount that both have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a container, from the `Mounts` of the engine's listing."""

    destination: PurePosixPath
    volume: str  # the name of a volume, empty for a bind mount
    source: PurePosixPath  # the path on the host
    writable: bool

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Mount":
        """Read one entry of `Mounts`."""
        return cls(
            destination=PurePosixPath(data.get("Destination") or "/"),
            volume=str(data.get("Name") or "") if data.get("Type") == "volume" else "",
            source=PurePosixPath(data.get("Source") or "/"),
            writable=bool(data.get("RW", True)),
        )


@dataclass(frozen=True, slots=True)
class Shared:
    """A consumer's path as certsync reaches it."""

    path: str
    root: str  # certsync's mount point; links may not lead out of it
    writable: bool


@dataclass(frozen=True, slots=True)
class NotShared:
    """Why certsync cannot reach a path, and the line for the compose file that would change it."""

    detail: str


def translate(path: str, theirs: Iterable[Mount], ours: Iterable[Mount], service: str) -> Shared | NotShared:
    """Find certsync's path to the file that the consumer calls *path*."""
    wanted = PurePosixPath(path)
    mount = _holding(wanted, theirs)
    if mount is None:
        volume = f"certs-{service}"
        return NotShared(
            f"{path} is not on a mount of {service}: give both a volume, "
            f"`- {volume}:{wanted.parent}` under {service} and `- {volume}:/targets/{service}` under certsync"
        )
    if mount.destination == wanted:
        return NotShared(
            f"{path} is mounted as a single file, which cannot be replaced: mount its directory in {service} instead"
        )
    inside = wanted.relative_to(mount.destination)
    ours = tuple(ours)
    for own in sorted(ours, key=lambda one: len(one.destination.parts), reverse=True):
        reached = _reach(mount, inside, own)
        # A nearer mount of ours may hide that path; then it is another directory that merely has this name.
        if reached is not None and _holding(reached, ours) == own:
            return Shared(str(reached), str(own.destination), own.writable)
    what = mount.volume or mount.source
    return NotShared(f"certsync does not mount {what}: add `- {what}:/targets/{service}` to its volumes")


def _holding(path: PurePosixPath, mounts: Iterable[Mount]) -> Mount | None:
    holding = (one for one in mounts if path.is_relative_to(one.destination))
    return max(holding, key=lambda one: len(one.destination.parts), default=None)


def _reach(theirs: Mount, inside: PurePosixPath, own: Mount) -> PurePosixPath | None:
    if theirs.volume or own.volume:
        return own.destination / inside if theirs.volume == own.volume else None
    on_host = theirs.source / inside
    return own.destination / on_host.relative_to(own.source) if on_host.is_relative_to(own.source) else None
