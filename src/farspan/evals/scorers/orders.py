"""Answers that put numbered things in an order."""

from __future__ import annotations

import re
from itertools import combinations

from farspan.evals.scorers.base import Score
from farspan.tasks import Turn

_ORDER = re.compile(r"\d{1,6}(?:\s{0,4}>\s{0,4}\d{1,6})+")


def ordering(text: str, turn: Turn) -> Score:
    """1 when the last order in the reply (`2 > 4 > 1 > 3`) is the gold one (Ada-LEval, TSort; Wang et al. 2024).

    What was read holds Kendall's tau as well (1 the gold order, -1 its reverse), where the reply orders the same
    things. Upstream takes the reply for right when it begins with the order.
    """
    found = _ORDER.findall(text)
    wanted = [int(number) for number in turn.gold[0].split(">")] if turn.gold else []
    if not found:
        return Score(0.0, null=True)
    given = [int(number) for number in found[-1].split(">")]
    tau = _tau(given, wanted) if sorted(given) == sorted(wanted) else None
    return Score(float(given == wanted), parsed={"order": given[:50], "tau": tau})


def _tau(given: list[int], wanted: list[int]) -> float:
    """The share of pairs in the right order less the share in the wrong one."""
    place = {number: i for i, number in enumerate(given)}
    pairs = list(combinations(wanted, 2))
    right = sum(place[first] < place[second] for first, second in pairs)
    return round((2 * right - len(pairs)) / max(1, len(pairs)), 4)
