"""From cells and rows to the lines of the figures, and means over tasks that every method answered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from farspan.evals import statistics
from farspan.evals.comparison import Subject
from farspan.evals.plan import FULL
from farspan.evals.report.canvas import Line, Point
from farspan.evals.report.names import MODES, Names, length_name, plural, size, spread
from farspan.evals.summary import Cell, Row, grouped, scored

_TURNS_AT_LEAST = 2


def chosen(cells: Iterable[Cell], mode: str, task: str | None = None) -> list[Cell]:
    """The cells over whole contexts, of one way of asking, and of one task where it is given."""
    return [
        cell
        for cell in cells
        if cell["context"] == FULL and cell["mode"] == mode and (task is None or cell["task"] == task)
    ]


def by_subject(cells: Iterable[Cell], names: Names) -> dict[Subject, list[Cell]]:
    """Cells of each subject that has any, in the order of `names`, shortest first."""
    found: dict[Subject, list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: cell["length"]):
        found[cell["method"], cell["budget"]].append(cell)
    return {subject: found[subject] for subject in names.subjects if subject in found}


def length_lines(cells: Iterable[Cell], names: Names) -> list[Line]:
    """Score against length."""
    return [
        Line(
            names.number(subject),
            names.subjects[subject],
            [_point(cell["length"], cell, names) for cell in line if cell["score"] is not None],
            [cell["length"] for cell in line if cell["score"] is None],
        )
        for subject, line in by_subject(cells, names).items()
    ]


def memory_lines(cells: Iterable[Cell], names: Names) -> list[Line]:
    """Score against mean bytes on the device; only what has both."""
    lines = []
    for subject, line in by_subject(cells, names).items():
        points = [
            _point(cell["device_bytes"], cell, names)
            for cell in line
            if cell["score"] is not None and cell["device_bytes"]
        ]
        if points:
            lines.append(Line(names.number(subject), names.subjects[subject], points))
    return lines


def turn_panels(rows: Iterable[Row], names: Names) -> dict[str, list[Line]]:
    """Score against the question's number over all lengths, for each way of asking; empty without conversations."""
    found: dict[str, dict[Subject, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if scored(row) and row["context"] == FULL:
            found[row["mode"]][row["method"], row["budget"]].append(row)
    panels = {
        MODES.get(mode, mode): [
            _turn_line(subject, found[mode][subject], names) for subject in names.subjects if subject in found[mode]
        ]
        for mode in sorted(found)
    }
    longest = max((len(line.points) for lines in panels.values() for line in lines), default=0)
    return panels if longest >= _TURNS_AT_LEAST and "multi_turn" in found else {}


def means(cells: Sequence[Cell], names: Names) -> list[Cell]:
    """The mean over tasks for every subject and length, of those tasks that every subject answered at that length.
    Files that are as long as they are have no part in it.

    `questions` adds up, `tasks` says how many went in. The interval joins those of the tasks (Zou and Donner 2008).
    """
    found: dict[int, dict[str, dict[Subject, Cell]]] = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        if cell["score"] is not None and cell["length"]:
            found[cell["length"]][cell["task"]][cell["method"], cell["budget"]] = cell
    joined = []
    for length in sorted(found):
        present = {subject for subjects in found[length].values() for subject in subjects}
        shared = [subjects for _, subjects in sorted(found[length].items()) if subjects.keys() == present]
        joined += [_joined([subjects[subject] for subjects in shared]) for subject in present if shared]
    return sorted(joined, key=lambda cell: (cell["method"], cell["budget"], cell["length"]))


def _joined(cells: Sequence[Cell]) -> Cell:
    count = len(cells)
    score = math.fsum(cell["score"] for cell in cells) / count
    down = math.sqrt(math.fsum((cell["score"] - cell["low"]) ** 2 for cell in cells)) / count
    up = math.sqrt(math.fsum((cell["high"] - cell["score"]) ** 2 for cell in cells)) / count
    held = [cell["device_bytes"] for cell in cells if cell["device_bytes"] is not None]
    return {
        **{name: cells[0][name] for name in ("method", "budget", "length", "mode", "context")},
        "tasks": count,
        "questions": sum(cell["questions"] for cell in cells),
        "score": score,
        "low": max(0.0, score - down),
        "high": min(1.0, score + up),
        "device_bytes": round(sum(held) / len(held)) if held else None,
    }


def _point(x: float, cell: Mapping[str, Any], names: Names) -> Point:
    name = names.subjects[cell["method"], cell["budget"]]
    where = f"{length_name(cell['length'])} tokens" if cell["length"] else "files as they are"
    memory = f", {size(cell['device_bytes'])} on the device" if cell["device_bytes"] else ""
    tip = f"{name}, {where}: {spread(cell)} of {plural(cell['questions'], 'question')}{memory}"
    return Point(x, cell["score"], cell["low"], cell["high"], tip)


def _turn_line(subject: Subject, rows: Sequence[Row], names: Names) -> Line:
    turns: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        turns[row["turn"]].append(row)
    points = []
    for turn in sorted(turns):
        groups = [[float(row["score"]) for row in group] for group in grouped(turns[turn])]
        score, (low, high) = statistics.mean(groups), statistics.interval(groups)
        shown = spread({"score": score, "low": low, "high": high})
        tip = f"{names.subjects[subject]}, question {turn + 1}: {shown} of {len(turns[turn]):,}"
        points.append(Point(turn + 1, score, low, high, tip))
    return Line(names.number(subject), names.subjects[subject], points)
