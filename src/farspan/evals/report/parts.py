"""What is shown of one task: its figures, depth maps, tables and some wrong answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from farspan.evals.report import charts, curves, scores
from farspan.evals.report.boxes import DepthMap, depth_maps
from farspan.evals.report.canvas import Line, inline
from farspan.evals.report.names import MODES, NATIVE, Names, Title, length_name
from farspan.evals.report.tables import Table
from farspan.evals.report.wrong import Wrong, wrong_answers
from farspan.evals.summary import Cell, Row

_SLUG_CHARS = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its file's name without the ending, what it shows, the SVG document, whether it is broad."""

    name: str
    label: str
    document: str
    wide: bool = False

    @property
    def inline(self) -> str:
        """The figure as a part of the page."""
        return inline(self.document, self.label)


@dataclass(frozen=True, slots=True)
class Part:
    """One task. `numbers` holds a table for each way of asking, under its name."""

    task: str
    anchor: str
    title: Title
    figures: Sequence[Figure]
    maps: Sequence[DepthMap]
    numbers: Sequence[tuple[str, Table]]
    wrong: Sequence[Wrong]


def parts(
    rows: Sequence[Row], cells: Sequence[Cell], names: Names, first_mode: str, window: int | None
) -> Iterator[Part]:
    """Every task in order. Figures are of `first_mode` where the task was asked so."""
    taken: dict[str, int] = {}
    for task, title in names.tasks.items():
        anchor = _anchor(str(title), taken)
        own = [row for row in rows if row["task"] == task]
        modes = [mode for mode in names.modes if curves.chosen(cells, mode, task)]
        mode = first_mode if first_mode in modes else (modes or [first_mode])[0]
        figures = _figures(anchor, curves.chosen(cells, mode, task), own, names, window)
        tables = [(MODES.get(one, one), scores.numbers(cells, task, one, names)) for one in modes]
        maps, wrong = depth_maps(own, mode, names), wrong_answers(own, names)
        yield Part(task, anchor, title, list(figures), maps, tables, wrong)


def memory_figure(cells: Sequence[Cell], names: Names, name: str, title: str) -> Iterator[Figure]:
    """Score against memory, where two methods have both."""
    lines = curves.memory_lines(cells, names)
    if len(lines) > 1:
        yield Figure(name, title, charts.by_memory(name, title, lines))


def _anchor(title: str, taken: dict[str, int]) -> str:
    """A name for addresses and files that no other task has."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_SLUG_CHARS] or "task"
    taken[slug] = taken.get(slug, 0) + 1
    return slug if taken[slug] == 1 else f"{slug}-{taken[slug]}"


def _figures(
    anchor: str, cells: Sequence[Cell], rows: Sequence[Row], names: Names, window: int | None
) -> Iterator[Figure]:
    lines = curves.length_lines(cells, names)
    if any(line.points for line in lines):
        yield _length_figure(f"{anchor}-length", lines, window)
    yield from memory_figure(cells, names, f"{anchor}-memory", "Score against memory, shortest to longest length")
    if panels := curves.turn_panels(rows, names):
        name = f"{anchor}-turns"
        yield Figure(name, "Score by the number of the question", charts.by_turn(name, panels), wide=True)


def _length_figure(name: str, lines: Sequence[Line], window: int | None) -> Figure:
    lengths = {x for line in lines for x in [*(point.x for point in line.points), *line.failed]}
    if len(lengths) > 1 and 0 not in lengths:
        return Figure(name, "Score against length", charts.by_length(name, "Score against length", lines, window))
    only = length_name(int(min(lengths)))
    title = "Score, files as long as they are" if only == NATIVE else f"Score at {only} tokens"
    return Figure(name, title, charts.by_method(name, title, lines))
