"""Answers that are one number: the first or the last that a reply gives, compared as numbers."""

from __future__ import annotations

from decimal import Decimal

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.figures import numbers, same
from farspan.tasks import Turn


def first_int(text: str, turn: Turn) -> Score:
    """1 when the first number of the reply is a gold number (LongChat-Lines; Li et al. 2023).

    options: `tolerance`, the share that it may be off. The first run of digits alone would read 24,169 as 24, 3.5
    as 3 and -7 as 7; here the whole number is read.
    """
    return _compared(numbers(text)[:1], turn)


def last_number(text: str, turn: Turn) -> Score:
    """1 when the last number of the reply is a gold number (the rule of GSM8K and LongBioBench).

    options: `tolerance`, the share that it may be off. As strings 1,000 and 1000 or 5.0 and 5 would differ; here
    values are compared.
    """
    return _compared(numbers(text)[-1:], turn)


def _compared(given: list[Decimal], turn: Turn) -> Score:
    if not given:
        return Score(0.0, null=True)
    wanted = [value for gold in turn.gold for value in numbers(gold)[-1:]]
    tolerance = float(turn.options.get("tolerance", 0.0))
    return Score(float(any(same(given[0], value, tolerance) for value in wanted)), parsed=str(given[0]))
