"""A line of figures as an inline SVG: no library, no script, and words for those who do not see it."""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT, EDGE = 120.0, 24.0, 2.0


def sparkline(points: Sequence[float | None], label: str) -> Markup:
    """Draw the points, the newest at the right; None breaks the line. *label* says what it shows, in words."""
    known = [point for point in points if point is not None]
    if len(known) < 2:
        return Markup("")
    low, high = min(0.0, *known), max(known)
    step = (WIDTH - 2 * EDGE) / max(1, len(points) - 1)
    height = (HEIGHT - 2 * EDGE) / ((high - low) or 1.0)
    pieces: list[list[str]] = [[]]
    for number, point in enumerate(points):
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{EDGE + number * step:.1f},{HEIGHT - EDGE - (point - low) * height:.1f}")
    lines = Markup("").join(
        Markup('<polyline points="{}"/>').format(" ".join(piece if len(piece) > 1 else piece * 2))
        for piece in pieces
        if piece
    )
    return Markup('<svg class="spark" role="img" aria-label="{}" viewBox="0 0 {:g} {:g}">{}</svg>').format(
        escape(label), WIDTH, HEIGHT, lines
    )
