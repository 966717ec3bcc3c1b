"""How figures are written for people. Unknown is a word and not a zero."""

UNKNOWN = "unknown"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def span(seconds: float | None) -> str:
    """Write a duration in its two largest units: `3 d 4 h`."""
    if seconds is None:
        return UNKNOWN
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def latency(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def size(count: float | None) -> str:
    if count is None:
        return UNKNOWN
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def image(name: str) -> str:
    """Write an image's name; one whose name went to a newer image has only its digest, of which the start will do."""
    return f"{name[:19]}\N{HORIZONTAL ELLIPSIS}" if name.startswith("sha256:") else name


def number(value: float | None) -> str:
    """Write a figure with as many digits as say something."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.1f}"


def percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f} %"


def moment(text: str | None) -> str:
    """Write a document's time (`2026-01-31T12:00:00Z`) as a person would."""
    return UNKNOWN if text is None else text.replace("T", " ").replace("Z", " UTC")
