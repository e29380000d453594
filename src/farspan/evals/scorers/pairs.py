"""Answers that are any one of several pairs."""

from __future__ import annotations

from farspan.evals.scorers.base import Score, place
from farspan.evals.scorers.kit.text import straight
from farspan.tasks import Turn


def any_pair(text: str, turn: Turn) -> Score:
    """1 when the reply names one acceptable pair and nobody else (LongBioBench's two-diff; Yang et al. 2025).

    A gold pair is a string such as `Anna Reed & Ben Stark`; which comes first does not matter. options: `names`, all
    names that the context holds; without it, those of the pairs and the decoys. A reply that names a third earns 0,
    since a list of everybody holds every pair.
    """
    pairs = [{name.strip() for name in gold.split("&")} for gold in turn.gold]
    names = {name for pair in pairs for name in pair} | set(turn.decoys) | set(map(str, turn.options.get("names", ())))
    said = straight(text).casefold()
    named = {name for name in names if place(straight(name).casefold(), said) >= 0}
    return Score(float(named in pairs), null=not named, parsed=sorted(named)[:10])
