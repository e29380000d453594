"""Segment order: four passages that follow one another are shuffled; what stands before and after them is given.

Any text will do as prose. The synthetic filler has no order, so with it the passages tell how a thing goes from hand to
hand: nothing is counted, and a passage follows the one that ends with whom, and where, it begins.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.fillers import Filler, Synthetic
from farspan.tasks.kit.layout import fill
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Count, Space, TooShort

CARD = Card(
    scope="all",
    diffusion="scattered",
    source="Ada-LEval (Wang et al. 2024), TSort; four segments, the prose is the user's or a story of our own",
    chance=0.04,
    version=2,
    presets={"tsort": {}},
)
_SEGMENTS, _AROUND = 4, 0.1
_QUERY = (
    "In which order do the shuffled passages follow each other between the beginning and the end? "
    "Give their numbers in this form: 2 > 4 > 1 > 3"
)
_THINGS = ("sealed letter", "tin box", "torn map", "brass bell", "reed flute", "wax doll", "black purse", "clay jug")
_LEGS = (
    "In {here} {giver} handed the {thing} to {taker}, who carried it to {there}.",
    "{taker} fetched the {thing} from {giver} in {here} and took it to {there}.",
    "From {giver} in {here} the {thing} went to {taker} and on to {there}.",
)


class Relay:
    """A thing that goes from hand to hand; each leg begins with whom and where the last one ended."""

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Legs without end, about every second with a sentence of prose behind it."""
        prose, thing = Synthetic().pieces(rng), rng.choice(_THINGS)
        giver, here = words.people(rng, 1)[0], rng.choice(words.TOWNS)
        while True:
            taker, there = words.people(rng, 1)[0], rng.choice([town for town in words.TOWNS if town != here])
            told = rng.choice(_LEGS).format(thing=thing, giver=giver, here=here, taker=taker, there=there)
            yield f" {told}" + (next(prose) if rng.random() < 0.5 else "")
            giver, here = taker, there


def make(rng: random.Random, space: Space) -> Sample:
    """Prose that fills the space: a tenth before the passages, a fifth each, a tenth after them.

    There is one question on a context. A text that repeats itself makes the order a guess.
    Raises TooShort where there are fewer sentences than parts.
    """
    order = rng.sample(range(1, _SEGMENTS + 1), _SEGMENTS)
    answer = " > ".join(map(str, order))
    turn = Turn(_QUERY, f" {answer}", (answer,), "ordering")
    frame = _page([""] * (_SEGMENTS + 2), order, turn)
    filler: Filler = Relay() if type(space.filler) is Synthetic else space.filler
    rows = fill(rng, space.room([turn]) - space.count(frame.document), space.count, filler)
    if len(rows) < _SEGMENTS + 2:
        raise TooShort(f"{space.length:,} tokens hold {len(rows)} sentences of this prose", fix="ask for more tokens")
    return _page(_parted(rows, space.count), order, turn)


def _page(parts: list[str], order: list[int], turn: Turn) -> Sample:
    """The passages under numbers, which `order` lists as they follow each other."""
    page = Page()
    page.add(f"The beginning:\n{parts[0]}")
    for number in range(1, _SEGMENTS + 1):
        page.add(f"\n\nPassage {number}:\n{parts[1 + order.index(number)]}")
    page.add(f"\n\nThe end:\n{parts[-1]}")
    return page.sample((turn,))


def _parted(rows: list[str], count: Count) -> list[str]:
    """The sentences as six texts, of which the first and the last are half as long as the others."""
    ends, total = [0], 0
    for size in map(count, rows):
        total += size
        ends.append(total)
    starts = [0]
    for part in range(_SEGMENTS + 1):
        wanted = total * (_AROUND + part * (1 - 2 * _AROUND) / _SEGMENTS)
        nearest = min(range(len(rows)), key=lambda at: abs(ends[at] - wanted))
        starts.append(min(max(nearest, starts[-1] + 1), len(rows) - (_SEGMENTS + 1 - part)))
    return ["".join(rows[start:end]).strip() for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]
