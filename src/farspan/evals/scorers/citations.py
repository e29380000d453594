"""Answers that say where they come from, by marks such as [3]."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.share import bag_f1
from farspan.evals.scorers.kit.text import straight
from farspan.evals.scorers.substring import any_substring
from farspan.tasks import Turn

_MARK = re.compile(r"\[\s{0,3}(\d{1,7}(?:\s{0,3}[-,;]\s{0,3}\d{1,7}){0,200}+)\s{0,3}\]")
_WIDEST = 50


def citations(text: str, turn: Turn) -> Score:
    """Half for a gold answer in the reply, half for the F1 of its marks (LongBioBench's citation; Yang et al. 2025).

    options: `cited`, the numbers of the passages that hold the answer. Marks may be `[3]`, `[3][7]`, `[3, 7]` or
    `[3-5]`. The answer is looked for outside the marks. Looking for the gold mark alone would pay for a reply
    that cites everything.
    """
    said = straight(text)
    marks = {number for mark in _MARK.finditer(said) for number in _cited(mark[1])}
    wanted = {str(int(number)) for number in turn.options.get("cited", ())}
    answered = any_substring(_MARK.sub(" ", said), turn).value
    value = (answered + bag_f1(marks, wanted)) / 2
    return Score(value, null=not marks and not answered, parsed={"answer": answered, "cited": sorted(marks)[:50]})


def _cited(mark: str) -> list[str]:
    """The numbers of a mark, those of a short range written out."""
    numbers: list[str] = []
    for part in re.split(r"[,;]", mark):
        first, *rest = (int(end) for end in part.split("-"))
        last = rest[-1] if rest else first
        within = range(first, last + 1) if first <= last <= first + _WIDEST else (first, last)
        numbers += [str(number) for number in within]
    return numbers
