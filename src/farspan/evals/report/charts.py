"""The figures: score against length, against memory and against the turn of a conversation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from farspan.evals.report.canvas import Canvas, Line, canvas, dressed, svg
from farspan.evals.report.colours import INK, MUTED
from farspan.types import format_bytes, format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 6.4, 3.9
_WIDE, _FLAT = 13.0, 3.6
_APART, _SPREAD = 0.045, 0.3
_MOST_TICKS = 7


def by_length(name: str, title: str, lines: Sequence[Line], window: int | None) -> str:
    """Score against tokens, one line a method, on a log 2 axis; the model's own window is marked."""
    failures = any(line.failed for line in lines)
    with canvas(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.figure.add_subplot(xlabel="tokens, question and answer included", ylabel="score")
        axes.set_title(title, pad=16)
        lengths = sorted({x for line in lines for x in [*(point.x for point in line.points), *line.failed]})
        axes.set_xscale("log", base=2)
        dressed(axes, failures=failures)
        for line, shift in zip(lines, _shifts(len(lines)), strict=True):
            _length_line(drawn, axes, line, shift)
        axes.set_xticks(lengths, [format_count(int(length)) for length in lengths])
        axes.minorticks_off()
        axes.set_xlim(lengths[0] / 2**0.4, lengths[-1] * 2**0.4)
        if window and axes.get_xlim()[0] < window < axes.get_xlim()[1]:
            axes.axvline(window, color=MUTED, linewidth=1.0, linestyle=(0, (2, 2)))
            axes.annotate("window", (window, 103), (3, 2), textcoords="offset points", color=MUTED, fontsize=8)
        drawn.legend(lines)
        return svg(drawn, name)


def by_memory(name: str, title: str, lines: Sequence[Line]) -> str:
    """Score against bytes on the device: each method's last point is filled, those before it are hollow."""
    with canvas(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.figure.add_subplot(title=title, xlabel="KV memory on the device", ylabel="score")
        axes.set_xscale("log", base=2)
        dressed(axes)
        _front(axes, lines)
        for line, shift in zip(lines, _shifts(len(lines)), strict=True):
            moved = _moved(line, [point.x * 2 ** (1.5 * shift) for point in line.points])
            drawn.line(axes, moved, faint=True)
            for point in moved.points[:-1]:
                drawn.point(axes, moved, point, bar=False, size=4.0)
            drawn.point(axes, moved, moved.points[-1], size=7.5)
        _byte_ticks(axes, [point.x for line in lines for point in line.points])
        drawn.legend(lines)
        return svg(drawn, name)


def by_turn(name: str, panels: Mapping[str, Sequence[Line]]) -> str:
    """Score against the number of the question, one panel for each way of asking."""
    with canvas(_WIDE, _FLAT) as drawn:
        for number, (title, lines) in enumerate(panels.items()):
            axes = drawn.figure.add_subplot(1, len(panels), number + 1, title=title, xlabel="question")
            dressed(axes)
            axes.set_ylabel("" if number else "score")
            for line, shift in zip(lines, _shifts(len(lines)), strict=True):
                moved = _moved(line, [point.x + 1.5 * shift for point in line.points])
                drawn.line(axes, moved)
                for point in moved.points:
                    drawn.point(axes, moved, point, size=5.0)
            turns = sorted({int(point.x) for line in lines for point in line.points})
            axes.set_xticks(turns[:: -(-len(turns) // 10)])
            axes.set_xlim(turns[0] - 0.4, turns[-1] + 0.4)
        drawn.legend(max(panels.values(), key=len))
        return svg(drawn, name)


def by_method(name: str, title: str, lines: Sequence[Line]) -> str:
    """One score a method with its interval, for a task that has only one length."""
    with canvas(_WIDTH, max(_HEIGHT, 0.9 + 0.36 * len(lines))) as drawn:
        axes = drawn.figure.add_subplot(title=title, xlabel="score")
        for row, line in enumerate(lines):
            for point in line.points:
                colour = {"color": MUTED, "linewidth": 1.4, "gid": f"method-{line.number}-bar-{row}"}
                axes.plot([100 * point.low, 100 * point.high], [row, row], **colour)  # type: ignore[arg-type]
                drawn.mark(axes, line, (100 * point.score, row), point.tip, size=7.0)
            if line.failed:
                axes.annotate("failed", (0, row), (4, -3), textcoords="offset points", color=MUTED, fontsize=8)
        axes.set_yticks(range(len(lines)), [line.name[:48] for line in lines], color=INK)
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(-2, 102)
        axes.grid(axis="x", color=MUTED, alpha=0.25, linewidth=0.8)
        axes.tick_params(length=0)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        return svg(drawn, name)


def _length_line(drawn: Canvas, axes: Axes, line: Line, shift: float) -> None:
    """A method's line, a little beside the others so that no mark hides another."""
    moved = _moved(line, [point.x * 2**shift for point in line.points])
    drawn.line(axes, moved)
    for point in moved.points:
        drawn.point(axes, moved, point)
    for x in line.failed:
        drawn.mark(axes, line, (x * 2**shift, -9), f"{line.name}: failed at {format_count(int(x))}", hollow=True)


def _moved(line: Line, places: Sequence[float]) -> Line:
    points = [replace(point, x=place) for point, place in zip(line.points, places, strict=True)]
    return replace(line, points=points)


def _shifts(count: int) -> list[float]:
    return [min(_APART, _SPREAD / count) * (number - (count - 1) / 2) for number in range(count)]


def _front(axes: Axes, lines: Sequence[Line]) -> None:
    """What no other method beats with as little memory, as steps."""
    best: list[tuple[float, float]] = []
    for x, score in sorted(((line.points[-1].x, line.points[-1].score) for line in lines), key=lambda p: (p[0], -p[1])):
        if not best or score > best[-1][1]:
            best.append((x, score))
    if len(best) > 1:
        xs, scores = [x for x, _ in best], [100 * score for _, score in best]
        axes.step(xs, scores, where="post", color=MUTED, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)


def _byte_ticks(axes: Axes, sizes: Sequence[float]) -> None:
    low, high = math.floor(math.log2(min(sizes)) - 0.3), math.ceil(math.log2(max(sizes)) + 0.3)
    stride = -(-(high - low + 1) // _MOST_TICKS)
    ticks = [2**power for power in range(low, high + 1, stride)]
    axes.set_xlim(2**low, 2**high)
    axes.set_xticks(ticks, [format_bytes(tick) for tick in ticks])
    axes.minorticks_off()
