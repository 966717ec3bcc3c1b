"""What is asked, and what it answers: one service of the stack, one agent, or the engine."""

from typing import Any, Protocol

from sidecarkit.errors import SidecarError
from stats.facts import Reading
from stats.rates import Derived


class SourceDown(SidecarError):
    """It did not answer as it should. The text says how, in words of ours: no address, no secret."""


class Source(Protocol):
    """Something that can be asked. Looks of one source never overlap, so it may remember what it needs."""

    @property
    def name(self) -> str: ...

    def look(self) -> Any:
        """Ask once, within a few seconds. Raises SourceDown."""


class Service(Protocol):
    """A source whose answer is a Reading."""

    @property
    def name(self) -> str: ...

    @property
    def derived(self) -> tuple[Derived, ...]:
        """What is computed from several readings."""

    @property
    def trends(self) -> tuple[str, ...]:
        """Which figures are drawn as lines."""

    def look(self) -> Reading: ...
