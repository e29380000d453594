"""Tables as prose: every row is a sentence; what a query over all rows of a kind gives, from filters to joins.

How many rows matter is a knob of its own, so that the amount of information and the length can be told apart.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import fill, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space, TooShort
from farspan.tasks.material.domains import MOST_RELEVANT, draw
from farspan.tasks.material.queries import QUERIES, questions

CARD = Card(
    scope="several facts",
    diffusion="computed",
    source="HoloBench (Maekawa et al. 2024); domains of our own, sqlite over the rows told, rows compared, no judge",
    chances={"tables_count": 0.14, "tables_difference": 0.06},
    version=2,
    presets={f"tables_{query}": {"query": query} for query in QUERIES},
)
_BANDS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "uniform": ((0.0, 1.0),),
    "begin": ((0.0, 0.1),),
    "end": ((0.9, 1.0),),
    "middle": ((0.45, 0.55),),
    "bimodal": ((0.0, 0.1), (0.9, 1.0)),
}
_RESTS = ("rows", "prose")


def make(
    rng: random.Random,
    space: Space,
    *,
    query: str = "filter",
    info: int = 8,
    placement: str = "uniform",
    rest: str = "rows",
    turns: int = 1,
) -> Sample:
    """`info` rows (2 to 50) of the kind that is asked about, among rows of other kinds.

    query: `filter`, `max`, `min`, `count`, `average`, `sum`, `group` (a sum for each place), `join` (with the table of
    places), `difference` (places without). Every turn limits the rows by another number.
    placement: where the rows that matter lie: `uniform`, `begin`, `end`, `middle` or `bimodal` (both ends).
    rest: `rows` has as many other rows as fit; `prose` has `info` other rows, and prose.
    Raises UsageError for other words or numbers.
    """
    for knob, value, known in (("query", query, QUERIES), ("placement", placement, _BANDS), ("rest", rest, _RESTS)):
        check_choice("tables", knob, value, known)
    if not 2 <= info <= MOST_RELEVANT:
        raise UsageError(f"tables cannot have {info} rows that matter", fix=f"give 2 to {MOST_RELEVANT}")
    form = _Form(query, info, placement, turns)
    if rest == "prose":
        return form.in_prose(rng, space)
    seed = rng.getrandbits(64)
    return stack(space, lambda units: form.among_rows(random.Random(seed), units), least=2)


class _Form:
    """What is told and asked, and where the rows that matter go."""

    def __init__(self, query: str, info: int, placement: str, turns: int) -> None:
        self.query, self.info, self.placement, self.turns = query, info, placement, turns

    def among_rows(self, rng: random.Random, others: int) -> Sample:
        """A page of rows, a sentence a line."""
        facts, rest, turns = self._told(rng, others)
        return self._page(rng, [f"\n{row}" for row in rest], [f"\n{fact}" for fact in facts], turns)

    def in_prose(self, rng: random.Random, space: Space) -> Sample:
        """As many other rows as rows that matter, all in prose."""
        facts, rest, turns = self._told(rng, self.info)
        facts, rest = [f" {fact}" for fact in facts], [f" {row}" for row in rest]
        room = space.room(turns) - sum(map(space.count, (*facts, *rest)))
        if room < 0:
            raise TooShort(f"the rows do not fit in {space.length:,} tokens", fix="ask for a longer length")
        pieces = fill(rng, room, space.count, space.filler)
        for row in rest:
            pieces.insert(rng.randint(0, len(pieces)), row)
        return self._page(rng, pieces, facts, turns)

    def _told(self, rng: random.Random, others: int) -> tuple[list[str], list[str], list[Turn]]:
        """The sentences that matter, in random order, the others, and the questions."""
        tables = draw(rng, self.info, others)
        turns = questions(rng, tables, self.query, self.turns)
        facts = tables.said(tables.relevant) + (tables.placed() if QUERIES[self.query].joined else [])
        return rng.sample(facts, len(facts)), tables.said(tables.rest), turns

    def _page(self, rng: random.Random, rest: Sequence[str], facts: Sequence[str], turns: list[Turn]) -> Sample:
        depths = self._depths(rng, len(rest), len(facts))
        pieces: list[tuple[str, bool]] = []
        start = 0
        for depth, fact in zip(depths, facts, strict=True):
            pieces += [*((piece, False) for piece in rest[start:depth]), (fact, True)]
            start = depth
        pieces += [(piece, False) for piece in rest[start:]]
        page, spans = Page(), []
        for number, (piece, matters) in enumerate(pieces):
            span = page.add(piece if number else piece.lstrip())
            if matters:
                spans.append(span)
        every = range(len(spans))
        return page.sample(located(spans, [(turn, every) for turn in turns]), info=self.info)

    def _depths(self, rng: random.Random, pieces: int, facts: int) -> list[int]:
        """Before which piece each fact goes."""
        bands = _BANDS[self.placement]
        drawn = [bands[i % len(bands)] for i in range(facts)]
        return sorted(round(pieces * rng.uniform(low, high)) for low, high in drawn)
