"""Precision and recall as one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def f1(matched: float, given: int, wanted: int) -> float:
    """The harmonic mean of precision and recall; 1 when nothing was wanted and nothing given."""
    if given + wanted == 0:
        return 1.0
    return 2 * matched / (given + wanted)


def bag_f1(given: Iterable[str], wanted: Iterable[str]) -> float:
    """F1 of two bags of words or items; a word counts as often as both hold it."""
    one, other = Counter(given), Counter(wanted)
    return f1((one & other).total(), one.total(), other.total())
