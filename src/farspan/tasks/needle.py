"""Needles: sentences that give a number to a key, hidden in prose, in noise or among their like; one or more are asked.

With its defaults it is the form that the bundled model was trained on: eight needles in prose, one asked for.
"""

from __future__ import annotations

import random
from dataclasses import replace

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.fillers import Noise
from farspan.tasks.kit.layout import Asked, hide, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="RULER (Hsieh et al. 2024), needle in a haystack: single, multikey, multivalue, multiquery; RULER's answer "
    "prefix is not used",
    presets={
        "niah_single_1": {"needles": 1, "haystack": "noise", "digits": 7},
        "niah_single_2": {"needles": 1, "digits": 7},
        "niah_single_3": {"needles": 1, "values": "uuids"},
        "niah_multikey_1": {"needles": 4, "digits": 7},
        "niah_multikey_2": {"haystack": "needles", "digits": 7},
        "niah_multikey_3": {"haystack": "needles", "keys": "uuids", "values": "uuids"},
        "niah_multivalue": {"needles": 1, "values_each": 4, "digits": 7},
        "niah_multiquery": {"needles": 4, "keys_asked": 4, "digits": 7},
    },
)
_DECOYS, _MOST_ALIKE, _MOST_DIGITS = 24, 2000, 12
_CHOICES = {"haystack": ("prose", "noise", "needles"), "keys": ("words", "uuids"), "values": ("numbers", "uuids")}


def make(
    rng: random.Random,
    space: Space,
    *,
    needles: int = 8,
    haystack: str = "prose",
    keys: str = "words",
    values: str = "numbers",
    digits: int = 5,
    values_each: int = 1,
    keys_asked: int = 1,
    turns: int = 1,
) -> Sample:
    """`needles` distinct keys with `values_each` values, `turns` questions for the values of `keys_asked` keys each.

    haystack: `prose` (the space's filler), `noise` (the same five sentences again and again), or `needles`, where
    everything is a needle and `needles` does not count. digits: of the numbers; two more where there are not enough.
    UUIDs as values are called identifiers. Half of the time word keys share words with one another.
    """
    for knob, value in (("haystack", haystack), ("keys", keys), ("values", values)):
        check_choice("needle", knob, value, _CHOICES[knob])
    if not 1 <= digits <= _MOST_DIGITS:
        raise UsageError(f"needle cannot have numbers of {digits} digits", fix=f"1 to {_MOST_DIGITS}")
    form = _Form(space, keys, values, digits, values_each, keys_asked, turns)
    if haystack == "needles":
        seed = rng.getrandbits(64)
        return stack(space, lambda units: form.crowd(random.Random(seed), units), least=max(2, keys_asked))
    if haystack == "noise":
        space = space.filled(Noise())
    facts, asked = form.facts(rng, max(needles, keys_asked))
    return hide(rng, space, facts, asked)


class _Form:
    """How needles and their questions are worded."""

    def __init__(
        self, space: Space, keys: str, values: str, digits: int, values_each: int, keys_asked: int, turns: int
    ) -> None:
        self.space, self.keys, self.values, self.digits = space, keys, values, digits
        self.values_each, self.keys_asked, self.turns = values_each, keys_asked, turns
        self.thing = "number" if values == "numbers" else "identifier"

    def facts(self, rng: random.Random, needles: int) -> tuple[list[str], list[Asked]]:
        """The sentences, and the questions with the numbers of those that answer them."""
        names = self._names(rng, needles)
        pool = self._values(rng, needles * self.values_each)
        told = [(i // self.values_each, value) for i, value in enumerate(pool)]
        if self.values_each > 1:
            rng.shuffle(told)
        article = "The" if self.values_each == 1 else "One"
        facts = [f" {article} {self.thing} of {names[owner]} is {value}." for owner, value in told]
        asked: list[Asked] = []
        order = rng.sample(range(needles), min(needles, self.turns * self.keys_asked))
        for first in range(0, len(order) - self.keys_asked + 1, self.keys_asked):
            owners = order[first : first + self.keys_asked]
            needed = [i for owner in owners for i, (one, _) in enumerate(told) if one == owner]
            others = [value for owner, value in told if owner not in owners]
            turn = self._turn([names[owner] for owner in owners], [told[i][1] for i in needed], others)
            asked.append((replace(turn, max_new_tokens=self._most([facts[i] for i in needed])), needed))
        return facts, asked

    def crowd(self, rng: random.Random, needles: int) -> Sample:
        """A page of needles alone."""
        facts, asked = self.facts(rng, needles)
        page = Page()
        spans = [page.add("\n" * bool(i) + fact.strip()) for i, fact in enumerate(facts)]
        return page.sample(located(spans, asked))

    def _turn(self, names: list[str], found: list[str], others: list[str]) -> Turn:
        if len(found) == 1:
            query, answer = f"What is the {self.thing} of {names[0]}?", f" {found[0]}"
        elif len(names) == 1:
            query, answer = f"What are all the {self.thing}s of {names[0]}?", " " + ", ".join(found)
        else:
            listed = ", ".join(names[:-1]) + " and " + names[-1]
            query, answer = f"What are the {self.thing}s of {listed}?", " " + ", ".join(found)
        scorer = "any_substring" if len(found) == 1 else "all_substring"
        return Turn(query, answer, tuple(found), scorer, decoys=tuple(others[:_DECOYS]))

    def _most(self, told: list[str]) -> int:
        """Tokens of a reply that says these sentences again, where it has UUIDs; 0 leaves it to the space."""
        if "uuids" not in (self.keys, self.values):
            return 0
        return self.space.count("".join(told)) + self.space.slack

    def _values(self, rng: random.Random, amount: int) -> list[str]:
        if self.values == "uuids":
            return words.uuids(rng, amount)
        return words.numbers(rng, amount, self.digits)

    def _names(self, rng: random.Random, amount: int) -> list[str]:
        if self.keys == "uuids":
            return words.uuids(rng, amount)
        draw = words.look_alikes if 1 < amount <= _MOST_ALIKE and rng.random() < 0.5 else words.keys
        return [f"the {name}" for name in draw(rng, amount)]
