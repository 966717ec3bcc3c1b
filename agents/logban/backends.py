"""Which firewall there is to use, and what another choice left behind."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final, Literal

from logban.firewall import CAPACITY, Fence, Firewall, FirewallError, NoFirewall
from logban.iptables import Iptables, Variant, load
from logban.nftables import TRY, Nftables, ruleset
from logban.process import ProgramError, run

Backend = Literal["auto", "iptables", "nftables", "none"]

_VARIANTS: Final[tuple[Variant, ...]] = ("", "-nft", "-legacy")


def choose(backend: Backend, capacity: int = CAPACITY) -> Firewall:
    """Open the firewall of this name; for auto, nftables where kernel and program can do it, else iptables.

    Raises FirewallError with what each of them lacks. Nothing is installed.
    """
    if backend == "none":
        return NoFirewall()
    attempts = {"nftables": _nftables, "iptables": _iptables}
    lacking = []
    for name in attempts if backend == "auto" else [backend]:
        try:
            return attempts[name](capacity)
        except FirewallError as error:
            lacking.append(f"{name}: {error}")
    raise FirewallError("; ".join(lacking))


def sweep(kept: Firewall | None = None) -> None:
    """Remove what back ends other than *kept* left behind in an earlier life; with none kept, everything of ours."""
    if not isinstance(kept, Nftables):
        with closing(Nftables()) as nftables:
            nftables.uninstall()
    with ExitStack() as stack:
        installed = [stack.enter_context(closing(iptables)) for iptables in _installed_iptables()]
        for iptables in installed:
            if not (isinstance(kept, Iptables) and kept.on_nf_tables == iptables.on_nf_tables):
                iptables.remove_chains()
        if installed and not isinstance(kept, Iptables):  # both generations look into the same sets
            installed[0].uninstall()


def _nftables(capacity: int) -> Firewall:
    run(TRY, ruleset((Fence(tcp=frozenset({25})),), capacity))
    return Nftables(capacity)


def _iptables(capacity: int) -> Firewall:
    lacking = []
    for variant in _VARIANTS:
        try:
            run(load(4, variant, only_try=True), "*raw\nCOMMIT\n")
            return Iptables(variant, capacity)
        except ProgramError as error:
            lacking.append(str(error))
    raise FirewallError("; ".join(lacking))


def _installed_iptables() -> Iterator[Iptables]:
    for variant in _VARIANTS:
        try:
            yield Iptables(variant)
        except ProgramError:  # this system has no program of that name, so nothing was done with it
            continue
