"""The plot of a soak: small charts below each other, as SVG, a few KB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, TOP, GAP = 640, 110, 70, 30, 50
MOST_POINTS = 200  # of a line
CHARTS = (
    ("memory, MiB", (("rss", "#1f5fa8", "daemon"), ("children_rss", "#b0562a", "its processes")), 1024),
    ("descriptors and threads", (("descriptors", "#1f5fa8", "descriptors"), ("threads", "#b0562a", "threads")), 1),
    ("store, MiB", (("store", "#1f5fa8", ""),), 2**20),
)


def draw(rows: Sequence[Mapping[str, Any]], baseline: int, allowed: float) -> str:
    """Draw a run.

    Args:
        rows: Samples by the names of `soak.Sample`.
        baseline: The number of dumps at which the memory is measured that later memory is compared with.
        allowed: By what the memory may have multiplied since; drawn as a line.

    Returns:
        An SVG document.
    """
    step = max(1, len(rows) // MOST_POINTS)
    shown = [*rows[:-1:step], rows[-1]]
    last = max(rows[-1]["dumps"], 1)
    height = TOP + len(CHARTS) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {height}">',
        '<g font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    base = next((row for row in rows if row["dumps"] >= baseline), rows[-1])
    for place, (title, lines, unit) in enumerate(CHARTS):
        top = TOP + place * (HEIGHT + GAP)
        bound = allowed * base["rss"] / unit if place == 0 else 0.0
        highest = 1.1 * max(bound, 1.0, *(row[name] / unit for row in rows for name, _, _ in lines))
        parts += _frame(title, top, highest, last)
        if bound:
            y = _y(bound, highest, top)
            parts.append(f'<path d="M{LEFT} {y}h{WIDTH}" stroke="#999" stroke-dasharray="4 3"/>')
            parts.append(
                f'<text x="{LEFT + WIDTH}" y="{y - 3}" text-anchor="end" fill="#666">110 % of {baseline}</text>'
            )
        for number, (name, colour, label) in enumerate(lines):
            if not any(row[name] for row in rows):
                continue
            points = " ".join(
                f"{LEFT + WIDTH * row['dumps'] / last:.0f},{_y(row[name] / unit, highest, top)}" for row in shown
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
            parts.append(f'<text x="{LEFT + 200 + 110 * number}" y="{top - 8}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _frame(title: str, top: int, highest: float, last: int) -> list[str]:
    middle = f'<text x="{LEFT + WIDTH // 2}" y="{top + HEIGHT + 16}" text-anchor="middle">{last // 2} dumps</text>'
    return [
        f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{highest:.0f}</text>',
        f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>',
        f'<text x="{LEFT}" y="{top + HEIGHT + 16}">0</text>',
        middle,
        f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 16}" text-anchor="end">{last}</text>',
    ]


def _y(value: float, highest: float, top: int) -> str | float:
    return round(top + HEIGHT * (1 - value / highest), 1)
