"""Two ways to lay a context out: facts hidden in prose, or as many units as fit; both to a length in tokens.

Every piece begins with white space, so that its tokens hardly depend on its neighbours and lengths are sums.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from farspan.tasks.kit.fillers import Filler
from farspan.tasks.kit.sample import Page, Sample, Segment, Span, Turn
from farspan.tasks.kit.space import Count, Space, TooShort

_LEAST_PROSE = 8
Asked = tuple[Turn, Sequence[int]]
"""A turn, and the numbers of the facts that it needs."""


def hide(rng: random.Random, space: Space, facts: Sequence[str], asked: Sequence[Asked], **meta: object) -> Sample:
    """Hide `facts` (each begins with white space) in filler, in their order, at random depths.

    Raises TooShort when facts and questions alone are longer than the space.
    """
    room = space.room([turn for turn, _ in asked]) - sum(space.count(fact) for fact in facts)
    if room < 0:
        raise TooShort(
            f"the facts do not fit in {space.length:,} tokens", fix=f"ask for {space.length - room:,} tokens or more"
        )
    rows = fill(rng, room, space.count, space.filler)
    depths = sorted(rng.randint(0, len(rows)) for _ in facts)
    pieces: list[str] = []
    places, start = [], 0
    for depth, fact in zip(depths, facts, strict=True):
        pieces += rows[start:depth]
        places.append(len(pieces))
        pieces.append(fact)
        start = depth
    pieces += rows[start:]
    page = Page()
    spans = [page.add(piece if number else piece.lstrip()) for number, piece in enumerate(pieces)]
    return page.sample(located([spans[place] for place in places], asked), **meta)


def located(spans: Sequence[Span], asked: Sequence[Asked]) -> tuple[Turn, ...]:
    """The turns with the spans of the facts that they need."""
    return tuple(replace(turn, evidence=tuple(spans[i] for i in needed)) for turn, needed in asked)


def stack(space: Space, build: Callable[[int], Sample], *, least: int = 1, most: int | None = None) -> Sample:
    """The sample with the most units that fits, `build(units)`; what remains is prose before it.

    `build` must give the same for the same number (seed a generator of your own in it), and more tokens for more
    units. Raises TooShort when `least` units do not fit.
    """
    needed = {least: space.total(build(least))}
    if needed[least] > space.length:
        raise TooShort(
            f"{least} units need {needed[least]:,} tokens and {space.length:,} are allowed",
            fix="ask for a longer length or fewer questions",
        )

    def fits(units: int) -> bool:
        needed[units] = space.total(build(units))
        return needed[units] <= space.length

    low, high = least, max(2 * least, least + 8)
    while (most is None or high <= most) and fits(high):
        low, high = high, 4 * high
    if most is not None and high > most:
        high = most + 1
    while high - low > 1:
        guess = _between(low, high, needed, space.length)
        low, high = (guess, high) if fits(guess) else (low, guess)
    return padded(space, build(low))


def padded(space: Space, sample: Sample) -> Sample:
    """The sample behind a segment of prose that fills the space; as it is when there is next to no room."""
    room = space.length - space.total(sample) - space.count("\n\n")
    if room < _LEAST_PROSE:
        return sample
    rows = fill(random.Random(f"{sample.document[:80]}|{len(sample.document)}"), room, space.count, space.filler)
    prose = "".join(rows).strip()
    if not prose:
        return sample
    turns = tuple(
        replace(turn, evidence=tuple(span._replace(segment=span.segment + 1) for span in turn.evidence))
        for turn in sample.turns
    )
    return Sample((Segment(prose + "\n\n"), *sample.segments), turns, sample.meta)


def fill(rng: random.Random, room: int, count: Count, filler: Filler) -> list[str]:
    """Pieces of filler that take `room` tokens or a few less; the last one is cut at a word to fit."""
    rows: list[str] = []
    if room <= 0:
        return rows
    for piece in filler.pieces(rng):
        size = count(piece)
        if size > room:
            rows.append(_cut(piece, room, count))
            break
        rows.append(piece)
        room -= size
    return [row for row in rows if row]


def _cut(piece: str, room: int, count: Count) -> str:
    while piece and count(piece) > room:
        head = piece.rstrip()
        at = max(head.rfind(" "), head.rfind("\n"))
        piece = head[:at] if at > 0 else ""
    return piece


def _between(low: int, high: int, needed: dict[int, int], length: int) -> int:
    """Where the limit should lie if units were all alike, but never so near an end that the search would creep."""
    if high not in needed or high - low < 4:
        return (low + high) // 2
    guess = low + int((high - low) * (length - needed[low]) / max(1, needed[high] - needed[low]))
    margin = max(1, (high - low) // 16)
    return min(max(guess, low + margin), high - margin)
