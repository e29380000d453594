"""Draws lines against tokens read: as SVG, as the CSV behind it, and in the terminal with block characters.

Small enough not to need a plotting library, which would be the heaviest dependency after torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from farspan.types import format_bytes, format_count

BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 360, 80, 48, 40, 48
COLOURS = ("#0b7285", "#c92a2a", "#5f3dc4")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of points (tokens, bytes), in rising order of tokens."""

    name: str
    points: Sequence[tuple[int, int]]

    def at(self, tokens: float) -> int:
        """The bytes at a place, in a straight line between the points around it."""
        for (left, low), (right, high) in pairwise(self.points):
            if tokens <= right:
                return round(low + (high - low) * (tokens - left) / max(right - left, 1))
        return self.points[-1][1]


def svg(title: str, lines: Sequence[Line]) -> str:
    """A chart of the lines as an SVG document."""
    end, top = _extent(lines)

    def spot(tokens: float, amount: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * tokens / end
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * amount / top
        return f"{x:.1f},{y:.1f}"

    parts = [f'<text x="{LEFT}" y="24" font-size="16">{title}</text>']
    for step in range(5):
        tokens, amount = end * step // 4, top * step // 4
        x, floor = spot(tokens, 0).split(",")
        y = spot(0, amount).split(",")[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dee2e6"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{format_bytes(amount)}</text>')
        parts.append(f'<text x="{x}" y="{floor}" dy="20" text-anchor="middle">{format_count(tokens)}</text>')
    for number, line in enumerate(lines):
        colour, row = COLOURS[number % len(COLOURS)], TOP + 16 * number + 8
        path = " ".join(spot(*point) for point in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{LEFT + 12}" y="{row}" fill="{colour}">{line.name}</text>')
    parts.append(f'<text x="{WIDTH // 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens read</text>')
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *parts, "</svg>", ""])


def csv(lines: Sequence[Line]) -> str:
    """The points of all lines: `line,tokens,bytes`."""
    rows = [f"{line.name},{tokens},{amount}" for line in lines for tokens, amount in line.points]
    return "\n".join(["line,tokens,bytes", *rows, ""])


def terminal(lines: Sequence[Line], columns: int = 56) -> list[str]:
    """One row of blocks a line, all to one scale; its last amount stands behind it."""
    end, top = _extent(lines)
    label = max(len(line.name) for line in lines)
    rows = []
    for line in lines:
        amounts = [line.at(end * (column + 1) / columns) for column in range(columns)]
        blocks = "".join(BLOCKS[min(7, 8 * amount // top)] for amount in amounts)
        rows.append(f"{line.name:<{label}}  {blocks}  {format_bytes(amounts[-1])}")
    rows.append(" " * (label + 2) + "0" + f"{format_count(end)} tokens".rjust(columns - 1))
    return rows


def _extent(lines: Sequence[Line]) -> tuple[int, int]:
    tokens = max(place for line in lines for place, _ in line.points)
    amount = max(amount for line in lines for _, amount in line.points)
    return max(tokens, 1), max(amount, 1)
