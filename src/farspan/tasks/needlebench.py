"""NeedleBench: statements about far-off places hidden in prose; one is asked for, or five in one question.

Its third kind, reasoning over several needles, is the preset `needlebench_multi_reasoning` of ancestors.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="several facts",
    diffusion="verbatim",
    source="NeedleBench (Li et al. 2024), single and multi retrieval; statements of our own, needles at random depths",
    presets={"needlebench_single": {"needles": 1}, "needlebench_multi": {"needles": 5}},
)
_DECOYS, _MOST = 24, 500


class _Form(NamedTuple):
    statement: str
    question: str
    place: str


_FORMS = (
    _Form("Deep under {place} lies the {thing}.", "What lies deep under {place}?", "Island"),
    _Form("Whoever rules {place} must wear the {thing}.", "What must the ruler of {place} wear?", "Castle"),
    _Form("The feast of {place} begins with the {thing}.", "What does the feast of {place} begin with?", "Harbor"),
    _Form("On the flag of {place} one sees the {thing}.", "What does one see on the flag of {place}?", "Valley"),
    _Form(
        "The oldest legend of {place} is about the {thing}.", "What is the oldest legend of {place} about?", "Forest"
    ),
    _Form("In the tower of {place} they keep the {thing}.", "What do they keep in the tower of {place}?", "Village"),
    _Form("Every child of {place} is given the {thing}.", "What is every child of {place} given?", "Mountain"),
    _Form("Thieves once took from {place} the {thing}.", "What did thieves once take from {place}?", "Palace"),
)


def make(rng: random.Random, space: Space, *, needles: int = 5, turns: int = 1) -> Sample:
    """`needles` statements for each of `turns` questions, all about different places; a question asks for its own.

    A reply earns the share of the things that it names. Raises UsageError for no needle or more than 500.
    """
    if not 1 <= needles * turns <= _MOST:
        raise UsageError(f"needlebench cannot hide {needles * turns} needles", fix=f"1 to {_MOST}")
    told = _needles(rng, needles * turns)
    asked: list[Asked] = []
    for first in range(0, len(told), needles):
        own = range(first, first + needles)
        others = [thing for i, (_, _, thing) in enumerate(told) if i not in own]
        asked.append((_turn([told[i] for i in own], others), own))
    order = rng.sample(range(len(told)), len(told))
    moved = [(turn, [order.index(i) for i in own]) for turn, own in asked]
    return hide(rng, space, [" " + told[i][0] for i in order], moved, needles=needles)


def _needles(rng: random.Random, amount: int) -> list[tuple[str, str, str]]:
    """Statements, each with its question and what answers it; no place is told of twice."""
    forms, names = rng.sample(_FORMS, len(_FORMS)), rng.sample(words.ADJECTIVES, len(words.ADJECTIVES))
    told = []
    for i, thing in enumerate(words.keys(rng, amount)):
        form = forms[i % len(forms)]
        place = f"{names[i % len(names)].title()} {form.place}"
        told.append((form.statement.format(place=place, thing=thing), form.question.format(place=place), thing))
    return told


def _turn(told: list[tuple[str, str, str]], others: list[str]) -> Turn:
    things = [thing for _, _, thing in told]
    query = " ".join(question for _, question, _ in told)
    scorer = "any_substring" if len(told) == 1 else "all_substring"
    return Turn(query, " " + ", ".join(things), tuple(things), scorer, decoys=tuple(others[:_DECOYS]))
