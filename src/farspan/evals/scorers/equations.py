"""Answers that are sums: a number made of others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.arithmetic import NotASum, worked_out
from farspan.evals.scorers.kit.text import brief, lines, tagged
from farspan.tasks import Turn

_LABEL = re.compile(r"^[A-Za-z][\w ]{0,30}:\s*")
_MOST = 2000


def equations(text: str, turn: Turn) -> Score:
    """1 when the equations make the target of all the numbers (LongProc's countdown; Ye et al. 2025).

    options: `numbers`, `target`, and `most`, the largest result on the way (2,000 without it). Each number is used
    once, each result is a whole number from 1 on and is used once as well, but the last, which is the target. Read is
    what stands between <Solution> tags, or without them the last equations of the reply, one a line. Upstream hands
    the reply to Python's `eval`; here it is read by a parser that knows numbers and four signs.
    """
    rows = _rows(text, len(turn.options.get("numbers", ())))
    why = _fault(rows, [int(one) for one in turn.options.get("numbers", ())], turn)
    return Score(float(not why), null=not rows, parsed={"equations": brief(rows), "fault": why})


def _rows(text: str, amount: int) -> list[str]:
    within = tagged(text, "Solution")
    if within is not None:
        return [_row(line) for line in lines(within)]
    rows: list[str] = []
    for line in reversed(lines(text)):
        row = _row(line)
        if "=" in row and not re.search(r"[^\W\d]", row):
            rows.append(row)
        elif rows:
            break
        if rows and len(rows) == amount - 1:
            break
    return rows[::-1]


def _row(line: str) -> str:
    return _LABEL.sub("", line).strip("`$ .,;")


def _fault(rows: Sequence[str], numbers: Sequence[int], turn: Turn) -> str:
    """What is wrong with the equations; empty when they are right."""
    left, value = Counter(numbers), 0
    for row in rows:
        sum_, equal, claimed = row.partition("=")
        try:
            value, used = worked_out(sum_, int(turn.options.get("most", _MOST)))
        except NotASum as fault:
            return str(fault)
        if not equal or claimed.strip() != str(value):
            return f"{sum_.strip()} is {value}"
        if Counter(used) - left:
            return f"{sum_.strip()} uses what is not there"
        left = left - Counter(used) + Counter([value])
    if not rows or value != int(turn.options.get("target", 0)):
        return "the target is not reached"
    return "" if left == Counter([value]) else "not every number is used"
