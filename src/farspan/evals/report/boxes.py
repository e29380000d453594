"""Coloured boxes: tasks by methods at every length, and length by depth for one method on one task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farspan.evals.comparison import Subject
from farspan.evals.plan import FULL
from farspan.evals.report.colours import step
from farspan.evals.report.curves import by_subject, chosen, means
from farspan.evals.report.names import NATIVE_LENGTH, Names, length_name, percent, plural, spread
from farspan.evals.summary import Cell, Row, scored

_FEW, _FEW_BANDS, _BANDS = 60, 5, 10


@dataclass(frozen=True, slots=True)
class Box:
    """A coloured box: what it shows, its class in the style sheet, its hover title, how many answers it stands for."""

    text: str
    css: str
    tip: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Strip:
    """A method's boxes for one task, one a length; a single one for files that are as long as they are."""

    number: int
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tasks by methods: one row a task, in it one strip a method. The last row may be the mean, without a task."""

    lengths: Sequence[str]
    rows: Sequence[tuple[str | None, Sequence[Strip]]]


@dataclass(frozen=True, slots=True)
class DepthMap:
    """One method on one task: bands of depth by lengths."""

    number: int
    name: str
    lengths: Sequence[str]
    bands: Sequence[tuple[str, Sequence[Box]]]


def matrix(cells: Sequence[Cell], mode: str, names: Names) -> Matrix | None:
    """The overview of one way of asking; None when nothing was asked so."""
    asked = chosen(cells, mode)
    if not asked:
        return None
    lengths = sorted({cell["length"] for cell in asked if cell["length"]})
    shown = [task for task in names.tasks if any(cell["task"] == task for cell in asked)]
    rows: list[tuple[str | None, Sequence[Strip]]] = [
        (task, _strips([cell for cell in asked if cell["task"] == task], lengths, names)) for task in shown
    ]
    drawn = [task for task in shown if any(cell["length"] for cell in asked if cell["task"] == task)]
    if len(drawn) > 1:
        rows.append((None, _strips(means(asked, names), lengths, names)))
    return Matrix([length_name(length) for length in lengths], rows)


def depth_maps(rows: Iterable[Row], mode: str, names: Names) -> list[DepthMap]:
    """One map a method, where the place of the evidence is known."""
    placed = [row for row in rows if row["depth"] is not None and row["mode"] == mode and row["context"] == FULL]
    if not placed:
        return []
    lengths = sorted({row["length"] for row in placed})
    bands = _bands(placed, len(lengths))
    found: dict[Subject, dict[tuple[int, int], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in placed:
        band = min(bands - 1, int(row["depth"] * bands))
        found[row["method"], row["budget"]][band, row["length"]].append(row)
    return [
        DepthMap(
            names.number(subject),
            names.subjects[subject],
            [length_name(length) for length in lengths],
            [_band(band, bands, lengths, found[subject]) for band in range(bands)],
        )
        for subject in names.subjects
        if subject in found
    ]


def score_box(cell: Mapping[str, Any] | None, where: str) -> Box:
    """A cell as a box; one that failed says so and why, one that was not measured is empty."""
    if cell is None:
        return Box("", "empty", f"{where}: not measured")
    failed, reason = cell.get("failed", 0), cell.get("reason")
    if cell["score"] is None:
        return Box("\u00d7", "failed", f"{where}: {plural(failed, 'question')} failed: {reason}")
    tip = f"{where}: {spread(cell)} of {plural(cell['questions'], 'question')}"
    tip += f" over {plural(cell['tasks'], 'task')}" if "tasks" in cell else ""
    tip += "".join(f", {cell[name]} {word}" for name, word in _COUNTED if cell.get(name))
    css = f"s{step(cell['score'])}"
    if failed:
        return Box(percent(cell["score"]), f"{css} partly", f"{tip}; {failed} failed: {reason}", cell["questions"])
    return Box(percent(cell["score"]), css, tip, cell["questions"])


_COUNTED = (("nulls", "unreadable"), ("truncated", "cut off"))


def _strips(cells: Sequence[Cell], lengths: Sequence[int], names: Names) -> list[Strip]:
    lines, strips = by_subject(cells, names), []
    for subject, name in names.subjects.items():
        measured = {cell["length"]: cell for cell in lines.get(subject, ())}
        if NATIVE_LENGTH in measured or not lengths:
            boxes = [score_box(measured.get(NATIVE_LENGTH), f"{name}, files as long as they are")]
            strips.append(Strip(names.number(subject), boxes))
            continue
        boxes = [score_box(measured.get(length), f"{name}, {length_name(length)}") for length in lengths]
        strips.append(Strip(names.number(subject), boxes))
    return strips


def _bands(rows: Sequence[Row], lengths: int) -> int:
    """Five bands, or ten where the questions are many."""
    subjects = len({(row["method"], row["budget"]) for row in rows})
    return _FEW_BANDS if len(rows) < _FEW * lengths * subjects else _BANDS


def _band(
    band: int, bands: int, lengths: Sequence[int], found: Mapping[tuple[int, int], Sequence[Row]]
) -> tuple[str, list[Box]]:
    label = f"{100 * band // bands}\u2013{100 * (band + 1) // bands}"
    return label, [
        _depth_box(found.get((band, length), ()), f"{length_name(length)}, depth {label}%") for length in lengths
    ]


def _depth_box(rows: Sequence[Row], where: str) -> Box:
    answered = [row for row in rows if scored(row)]
    if not answered:
        failed = [row for row in rows if row["error"]]
        if failed:
            return Box("\u00d7", "failed", f"{where}: {plural(len(failed), 'question')} failed: {failed[0]['error']}")
        return Box("", "empty", f"{where}: no question")
    score = math.fsum(float(row["score"]) for row in answered) / len(answered)
    tip = f"{where}: {percent(score)} of {plural(len(answered), 'question')}"
    return Box(percent(score), f"s{step(score)}", tip, len(answered))
