"""Answers that are rows of a table, one a line, with values parted by bars."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.figures import number, same
from farspan.evals.scorers.kit.share import f1
from farspan.evals.scorers.kit.text import brief, lines, plain
from farspan.tasks import Turn

_RULE = re.compile(r"[\s|:+=-]++")
_TOLERANCE = 0.005
_Texts = tuple[str | None, ...]
_Figures = tuple[Decimal, ...]


def rows_f1(text: str, turn: Turn) -> Score:
    """F1 of the reply's rows against the gold rows; a row is right when all of its values are (HoloBench-style).

    A gold row is a string such as `Anna | 3 | blue`. Numbers may be off by `tolerance` (options; .005 of the gold
    without it). Markdown tables are read, without their heads. A row said twice counts twice, as does a gold one.
    Upstream asks a model whether rows are right; nobody is asked here.
    """
    wide = any("|" in gold for gold in turn.gold)
    given = [_keyed(cells) for cells in _table(text) if (len(cells) > 1) == wide]
    wanted: dict[_Texts, list[_Figures]] = defaultdict(list)
    for gold in turn.gold:
        texts, figures = _keyed(_cells(gold))
        wanted[texts].append(figures)
    tolerance = float(turn.options.get("tolerance", _TOLERANCE))
    matched = sum(_taken(wanted.get(texts, []), figures, tolerance) for texts, figures in given)
    shown = [" | ".join(text or "#" for text in texts) for texts, _ in given[:50]]
    return Score(f1(matched, len(given), len(turn.gold)), null=not given, parsed=brief(shown))


def _table(text: str) -> list[list[str]]:
    """The cells of every line; the head of a Markdown table, its rule and a line that only leads to it are left out."""
    table: list[list[str]] = []
    for line in lines(text):
        if "|" in line and "-" in line and _RULE.fullmatch(line):
            table = table[:-1]
        elif not line.endswith(":"):
            table.append(_cells(line))
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _keyed(cells: list[str]) -> tuple[_Texts, _Figures]:
    """A row as what must be equal (None where a number stands) and its numbers."""
    values = [number(cell) for cell in cells]
    texts = tuple(plain(cell) if value is None else None for cell, value in zip(cells, values, strict=True))
    return texts, tuple(value for value in values if value is not None)


def _taken(left: list[_Figures], given: _Figures, tolerance: float) -> bool:
    """Whether one of the gold rows that are left has these numbers; it is then left no more."""
    for i, wanted in enumerate(left):
        if all(same(one, other, tolerance) for one, other in zip(given, wanted, strict=True)):
            del left[i]
            return True
    return False
