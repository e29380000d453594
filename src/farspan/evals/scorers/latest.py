"""Answers that replace earlier ones: a reply may tell what was before, but what it names last must be right."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score, last_place, rivals
from farspan.evals.scorers.kit.text import straight
from farspan.tasks import Turn

_LEFT = re.compile(
    r"\b(?:not|no longer|formerly|previously|instead of|rather than)(?:\W{1,3}(?:it was|was|by|in|the))?\W{1,3}$"
)
_SEEN = 40


def last_named(text: str, turn: Turn) -> Score:
    """1 when of the gold answer, its decoys and what held before it the gold one is named last; case does not matter.

    options: `earlier`, what held before; unlike decoys, a reply may name all of it. "Was Oak, now Elm" says Elm, and
    so does "Elm, not Oak": what follows words such as `not`, `formerly` or `instead of` is left aside. The rule that
    the right value must come first would refuse the former.
    """
    said = straight(text).casefold()
    others = [*rivals(turn), *map(str, turn.options.get("earlier", ()))]
    ends = {other: _end(other, said) for other in others if other not in turn.gold}
    gold = max((_end(answer, said) for answer in turn.gold), default=0)
    last = max(ends, key=ends.__getitem__, default="")
    right = gold > max(ends.values(), default=0)
    named = turn.gold[0] if right else last if last and ends[last] else None
    return Score(float(right), null=named is None, parsed=named)


def _end(value: str, said: str) -> int:
    """Where the last mention of a value that is not left aside ends; 0 without one."""
    wanted = straight(value).casefold()
    at = last_place(wanted, said, len(said))
    while at >= 0 and _LEFT.search(said[max(0, at - _SEEN) : at]):
        at = last_place(wanted, said, at)
    return at + len(wanted) if at >= 0 else 0
