"""Many answers: a sheet of short questions is read, and all of them are answered in one numbered reply.

Questions are arithmetic word problems, or ask for an entry of a list that stands before them. Their number grows with
the length, so that the reply takes about a third of it; the k-th answer is as hard as the first.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Span, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="all",
    diffusion="computed",
    source="LongGenBench (Liu et al. 2024): many questions answered in one reply; all questions are our own",
    version=2,
    presets={"longgen_arithmetic": {"kinds": "arithmetic"}, "longgen_lookup": {"kinds": "lookup"}},
)
_KINDS = ("both", "arithmetic", "lookup")
_PARTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Item = tuple[str, str, str]
"""A question, a reply that shows its work and ends in the result, and the result."""


def make(rng: random.Random, space: Space, *, kinds: str = "both", turns: int = 1) -> Sample:
    """A sheet with a part for every turn, and as many questions in each part as fit.

    kinds: `arithmetic`, `lookup`, or `both` mixed. Raises UsageError for another kind, or too many turns.
    """
    check_choice("many_answers", "kind", kinds, _KINDS)
    if turns > len(_PARTS):
        raise UsageError(f"many_answers cannot ask {turns} turns", fix=f"at most {len(_PARTS)}")
    seed = rng.getrandbits(64)
    return stack(space, lambda items: _sheet(random.Random(seed), items, kinds, turns))


def _sheet(rng: random.Random, items: int, kinds: str, turns: int) -> Sample:
    page, made = Page(), []
    names = iter(words.keys(rng, items * turns))
    for part in _PARTS[:turns]:
        entries, drawn = _part(rng, list(islice(names, items)), kinds)
        page.add("\n\n" if part != _PARTS[0] else "")
        lines = [f"Part {part}.", *entries, *(f"Question {i}: {one[0]}" for i, one in enumerate(drawn, 1))]
        spans = [page.add(("\n" if i else "") + line) for i, line in enumerate(lines)]
        made.append(_turn(part, drawn, Span(0, spans[0].start, spans[-1].end)))
    rng.shuffle(made)
    return page.sample(tuple(made), items=items)


def _part(rng: random.Random, names: list[str], kinds: str) -> tuple[list[str], list[Item]]:
    """The list's entries in any order, and a question for every name or without it."""
    looked_up = [kinds == "lookup" or (kinds == "both" and rng.random() < 0.5) for _ in names]
    held = {name: rng.randint(100, 999) for name, wanted in zip(names, looked_up, strict=True) if wanted}
    entries = [f"The {name} weighs {amount} pounds." for name, amount in held.items()]
    rng.shuffle(entries)
    items = [_entry(name, held[name]) if name in held else rng.choice(_PROBLEMS)(rng) for name in names]
    return entries, items


def _turn(part: str, items: list[Item], span: Span) -> Turn:
    query = (
        f"Answer all {len(items)} questions of part {part} in one reply and in their order. Each answer is a line with "
        "its number in front and the result at its end, such as: Answer 1: 6 * 4 = 24; 24 - 5 = 19"
    )
    answer = "\n".join(f"Answer {number}: {reply}" for number, (_, reply, _) in enumerate(items, 1))
    return Turn(query, answer, tuple(result for _, _, result in items), "numbered", evidence=(span,))


def _entry(name: str, amount: int) -> Item:
    return f"How many pounds does the {name} weigh?", f"The {name} weighs {amount}", str(amount)


def _bags(rng: random.Random) -> Item:
    had, bags, each, gone = rng.randint(20, 99), rng.randint(2, 9), rng.randint(3, 19), rng.randint(2, 19)
    bought, sold = bags * each, had + bags * each - gone
    return (
        f"{rng.choice(words.FIRST_NAMES)} had {had} coins, found {bags} bags of {each} and spent {gone}. How many "
        "coins are left?",
        f"{bags} * {each} = {bought}; {had} + {bought} = {had + bought}; {had + bought} - {gone} = {sold}",
        str(sold),
    )


def _shares(rng: random.Random) -> Item:
    people, each = rng.randint(2, 9), rng.randint(4, 30)
    trays = rng.choice([number for number in range(2, people * each // 2 + 1) if people * each % number == 0])
    rolls = people * each // trays
    trade = rng.choice(words.TRADES)
    return (
        f"A {trade} shares {trays} trays of {rolls} rolls evenly among {people} shops. How many does each get?",
        f"{trays} * {rolls} = {people * each}; {people * each} / {people} = {each}",
        str(each),
    )


def _miles(rng: random.Random) -> Item:
    daily, days, last = rng.randint(11, 60), rng.randint(3, 9), rng.randint(2, 40)
    return (
        f"A coach goes {daily} miles a day for {days} days, then {last} more to {rng.choice(words.TOWNS)}. How many "
        "miles is that?",
        f"{daily} * {days} = {daily * days}; {daily * days} + {last} = {daily * days + last}",
        str(daily * days + last),
    )


def _pages(rng: random.Random) -> Item:
    daily, days, left = rng.randint(5, 40), rng.randint(3, 9), rng.randint(2, 99)
    whole = daily * days + left
    return (
        f"{rng.choice(words.FIRST_NAMES)} reads {daily} pages a day in a book of {whole}. How many are left after "
        f"{days} days?",
        f"{daily} * {days} = {daily * days}; {whole} - {daily * days} = {left}",
        str(left),
    )


_PROBLEMS: tuple[Callable[[random.Random], Item], ...] = (_bags, _shares, _miles, _pages)
