"""Which containers are the agent itself and the socket proxy it speaks through."""

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# The engine mounts .../containers/<id>/hostname over /etc/hostname; cgroup v1 ends in the id.
_MOUNTED = re.compile(r"/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) /etc/")
_CGROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


def own_ids(mountinfo: Path = Path("/proc/self/mountinfo"), cgroup: Path = Path("/proc/self/cgroup")) -> frozenset[str]:
    """Find the ids of the container this process runs in: empty outside of one."""
    return frozenset(_found(_MOUNTED, mountinfo)) | frozenset(_found(_CGROUP, cgroup))


def _found(pattern: re.Pattern[str], file: Path) -> list[str]:
    try:
        return pattern.findall(file.read_text())
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Kin:
    """How to recognise ourselves and our proxy among the listed containers."""

    ids: frozenset[str]
    proxy_host: str | None
    proxy_addresses: frozenset[str]

    def includes(self, container: str, names: Iterable[str | None], addresses: Iterable[str]) -> bool:
        """Say whether a container, of this id, these names (its own, its service's) and addresses, is one of us."""
        if container in self.ids or not self.proxy_addresses.isdisjoint(addresses):
            return True
        return self.proxy_host is not None and self.proxy_host in names


def kin(proxy_host: str | None) -> Kin:
    """Look at this process and resolve the proxy's name. Loopback is no proxy container."""
    return Kin(own_ids(), proxy_host, frozenset(_resolve(proxy_host)))


def _resolve(host: str | None) -> Iterable[str]:
    if not host:
        return
    try:
        for *_, address in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP):
            if not str(address[0]).startswith("127.") and address[0] != "::1":
                yield str(address[0])
    except OSError:
        return
