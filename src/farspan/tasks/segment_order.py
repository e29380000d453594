"""Segment order: four passages that follow one another are shuffled; what stands before and after them is given.

Any text will do as prose. The synthetic filler has no order, so with it the passages tell of a journey by its miles.
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
    source="Ada-LEval (Wang et al. 2024), TSort; four segments, the prose is the user's or a journey of our own",
    chance=0.04,
    presets={"tsort": {}},
)
_SEGMENTS, _AROUND = 4, 0.1
_QUERY = (
    "In which order do the shuffled passages follow each other between the beginning and the end? "
    "Give their numbers in this form: 2 > 4 > 1 > 3"
)
_ARRIVALS = ("{who} came to {town}", "the road led past {town}", "{who} met a {trade} near {town}")


class Journey:
    """A journey whose miles are told in every second sentence, so that any two passages have a known order."""

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Sentences without end; the miles only grow."""
        prose, who, mile = Synthetic().pieces(rng), rng.choice(words.FIRST_NAMES), rng.randint(1, 9)
        while True:
            told = rng.choice(_ARRIVALS).format(who=who, town=rng.choice(words.TOWNS), trade=rng.choice(words.TRADES))
            yield f" At mile {mile} {told}."
            yield next(prose)
            mile += rng.randint(1, 9)


def make(rng: random.Random, space: Space) -> Sample:
    """Prose that fills the space: a tenth before the passages, a fifth each, a tenth after them.

    There is one question on a context. A text that repeats itself makes the order a guess.
    Raises TooShort where there are fewer sentences than parts.
    """
    order = rng.sample(range(1, _SEGMENTS + 1), _SEGMENTS)
    answer = " > ".join(map(str, order))
    turn = Turn(_QUERY, f" {answer}", (answer,), "ordering")
    frame = _page([""] * (_SEGMENTS + 2), order, turn)
    filler: Filler = Journey() if type(space.filler) is Synthetic else space.filler
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
