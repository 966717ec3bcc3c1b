"""The storm guard: when most containers turn sick at once, the cause is seldom in each of them. Pure."""

from dataclasses import dataclass, replace

WITHIN_SECONDS = 30.0
AT_LEAST = 5


@dataclass(frozen=True, slots=True)
class Storm:
    """Who turned sick lately, and the hold if there is one. Times in Unix seconds."""

    onsets: tuple[tuple[str, float], ...] = ()  # (container, when), oldest first
    held_since: float | None = None
    canary: str | None = None

    @property
    def held(self) -> bool:
        return self.held_since is not None


def sickened(storm: Storm, container: str, now: float, watched: int) -> Storm:
    """Note that *container* turned sick, *now* or then. More than half of the *watched*, at least 5, within 30 s: hold.

    They need not be told of in the order in which they turned sick.
    """
    recent = tuple((who, at) for who, at in storm.onsets if who != container and abs(now - at) <= WITHIN_SECONDS)
    onsets = (*recent, (container, now))
    stormy = len(onsets) >= AT_LEAST and 2 * len(onsets) > watched
    return replace(storm, onsets=onsets, held_since=now if stormy and not storm.held else storm.held_since)


def may_heal(storm: Storm, container: str) -> bool:
    """While held, only the canary is healed, or the first that asks when there is none yet."""
    return not storm.held or storm.canary in {None, container}


def sent(storm: Storm, container: str) -> Storm:
    """Note that *container* is being healed: while held and without a canary, it is the canary."""
    return replace(storm, canary=container) if storm.held and storm.canary is None else storm


def settled(storm: Storm, container: str, *, recovered: bool) -> Storm:
    """Note how the canary fares: recovered, the hold ends; else another one is tried."""
    if not storm.held or storm.canary != container:
        return storm
    return Storm() if recovered else replace(storm, canary=None)


def eased(storm: Storm, sick: int, watched: int) -> Storm:
    """End the hold when most got well by themselves."""
    return Storm() if storm.held and (sick < AT_LEAST or 2 * sick <= watched) and storm.canary is None else storm
