"""What all figures share: axes of one look, lines of methods, and SVG that is the same for the same numbers.

A figure is written as a file of its own, and once more into the page: there without metadata and addresses, and with
the page's colours, which change with the reader's light or dark theme.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from farspan.evals.report.colours import GRID, INK, LIGHT_LINES, MUTED, PAPER, dashes, line_colour, mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS, _ROW_INCHES = 2, 0.17
_LEGEND_CHARS, _HANDLE_CHARS, _CHARS_PER_INCH = 44, 6, 14.4
_THEME = {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--panel"}
_VARIABLES = _THEME | {colour: f"--m{number}" for number, colour in enumerate(LIGHT_LINES)}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 10.0,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Point:
    """A score at `x`, with its interval; `tip` is shown when a reader points at it."""

    x: float
    score: float
    low: float
    high: float
    tip: str


@dataclass(frozen=True, slots=True)
class Line:
    """A method's points; its number gives colour, mark and dashes. `failed`: where it was tried and gave no score."""

    number: int
    name: str
    points: Sequence[Point]
    failed: Sequence[float] = ()


@dataclass(slots=True)
class Canvas:
    """A figure in the making; `tips` are the texts of its marks."""

    figure: Figure
    tips: list[str] = field(default_factory=list)

    def line(self, axes: Axes, line: Line, *, faint: bool = False) -> None:
        """Join a method's points."""
        axes.plot(
            [point.x for point in line.points],
            [100 * point.score for point in line.points],
            color=line_colour(line.number),
            linestyle=dashes(line.number),
            linewidth=1.0 if faint else 1.8,
            alpha=0.55 if faint else 1.0,
            gid=f"method-{line.number}-line",
        )

    def point(self, axes: Axes, line: Line, point: Point, *, bar: bool = True, size: float = 6.0) -> None:
        """A mark with its interval and its tip; hollow without one."""
        if bar:
            ends = [100 * point.low, 100 * point.high]
            group = f"method-{line.number}-bar-{len(self.tips)}"
            axes.plot([point.x, point.x], ends, color=line_colour(line.number), linewidth=1.1, alpha=0.6, gid=group)
        self.mark(axes, line, (point.x, 100 * point.score), point.tip, hollow=not bar, size=size)

    def mark(
        self, axes: Axes, line: Line, spot: tuple[float, float], tip: str, *, hollow: bool = False, size: float = 6.0
    ) -> None:
        """A method's mark anywhere."""
        axes.plot(
            *[[value] for value in spot],
            marker=mark(line.number),
            markersize=size,
            color=line_colour(line.number),
            markerfacecolor=PAPER if hollow else line_colour(line.number),
            markeredgewidth=1.1,
            linestyle="none",
            gid=f"method-{line.number}-tip-{len(self.tips)}",
        )
        self.tips.append(tip)

    def legend(self, lines: Sequence[Line]) -> None:
        """The methods' marks and names below the figure."""
        from matplotlib.lines import Line2D

        handles: list[Any] = []
        for line in lines:
            name = line.name if len(line.name) <= _LEGEND_CHARS else f"{line.name[: _LEGEND_CHARS - 3]}..."
            style = {"color": line_colour(line.number), "linestyle": dashes(line.number), "marker": mark(line.number)}
            handles.append(Line2D([], [], label=name, markersize=5, **style))
        width = self.figure.get_figwidth()
        longest = max((len(line.name) for line in lines), default=1)
        fit = int(width * _CHARS_PER_INCH) // (min(longest, _LEGEND_CHARS) + _HANDLE_CHARS)
        columns = max(1, min(len(lines), fit))
        rows = -(-len(lines) // columns)
        self.figure.set_figheight(self.figure.get_figheight() + _ROW_INCHES * max(0, rows - _ROWS))
        self.figure.legend(handles=handles, loc="outside lower left", ncols=columns, fontsize=8.5, handlelength=3.2)


@contextmanager
def canvas(width: float, height: float) -> Iterator[Canvas]:
    """A canvas of that many inches in the report's look. Matplotlib's own settings are as before afterwards."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        yield Canvas(Figure(figsize=(width, height), layout="constrained"))


def dressed(axes: Axes, *, failures: bool = False) -> None:
    """Scores from 0 to 100 upwards, with a shelf below 0 for what failed."""
    axes.set_ylim(-14 if failures else -3, 103)
    axes.set_yticks([*([-9] if failures else []), 0, 25, 50, 75, 100])
    axes.set_yticklabels([*(["failed"] if failures else []), "0", "25", "50", "75", "100"])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def svg(drawn: Canvas, name: str) -> str:
    """The figure as an SVG document, the same for the same figure: no date, and identifiers that hang on `name`."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        drawn.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r'<g id="method-(\d+)-tip-(\d+)">', lambda found: _titled(found, drawn.tips), text.getvalue())


def inline(document: str, label: str) -> str:
    """An SVG document as a part of an HTML page: the page's colours, no addresses, no identifiers that could clash."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r'<g id="method-(\d+)-[^"]*">', r'<g data-m="\1">', body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub("#[0-9a-f]{6}", lambda found: _variable(found[0]), body)
    head = f'<svg role="img" aria-label="{escape(label)}" class="figure"'
    return re.sub(r'<svg (?:width|height)="[^"]*" (?:width|height)="[^"]*"|<svg', head, body, count=1).rstrip()


def _variable(colour: str, variables: Mapping[str, str] = _VARIABLES) -> str:
    return f"var({variables[colour]})" if colour in variables else colour


def _titled(found: re.Match[str], tips: Sequence[str]) -> str:
    return f"{found[0]}\n<title>{escape(tips[int(found[2])])}</title>"
