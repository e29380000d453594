"""What every task family shares: questions with evidence, fillers, and fitting a document to a length in tokens.

A document is a row of pieces; every piece after the first begins with white space, so that its tokens do not depend on
its neighbours and the length is a sum. Nothing here knows a model or a tokenizer: `count` is handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from farspan.errors import InputError

Count = Callable[[str], int]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """One question on a document: the exact `answer`, and the character spans of the document that hold it.

    An answer begins with the white space that stands before it in the document; compare answers stripped.
    """

    text: str
    answer: str
    evidence: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A document and the questions on it."""

    document: str
    questions: tuple[Question, ...]


class Filler(Protocol):
    """Endless prose to hide facts in."""

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Pieces of a sentence or so, each beginning with white space, without end."""
        ...


class Family(Protocol):
    """A task family: a module of this package with one function, `make`."""

    def make(self, rng: random.Random, *, length: int, count: Count, filler: Filler) -> Sample:
        """A sample whose document has at most `length` tokens, and at least .97 of them from 512 tokens on."""
        ...


class Placed(NamedTuple):
    """A finished document, and where each fact (stripped) stands in it."""

    document: str
    spans: list[Span]


def compose(rng: random.Random, facts: Sequence[str], *, length: int, count: Count, filler: Filler) -> Placed:
    """Hide `facts` (each begins with white space) in filler, in their order, at random depths; fit to `length` tokens.

    Raises InputError when the facts alone are longer than `length`.
    """
    room = length - sum(count(fact) for fact in facts)
    if room < 0:
        raise InputError(f"the facts do not fit in {length} tokens", fix=f"ask for {length - room} tokens or more")
    rows = fill(rng, room, count, filler)
    depths = sorted(rng.randint(0, len(rows)) for _ in facts)
    pieces: list[str] = []
    where: list[int] = []
    start = 0
    for depth, fact in zip(depths, facts, strict=True):
        pieces += rows[start:depth]
        where.append(len(pieces))
        pieces.append(fact)
        start = depth
    pieces += rows[start:]
    return _join(pieces, where)


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


def _join(pieces: list[str], where: list[int]) -> Placed:
    if pieces:
        pieces[0] = pieces[0].lstrip()
    starts, at = [], 0
    for piece in pieces:
        starts.append(at)
        at += len(piece)
    spans = []
    for index in where:
        piece = pieces[index]
        indent = len(piece) - len(piece.lstrip())
        spans.append((starts[index] + indent, starts[index] + len(piece)))
    return Placed("".join(pieces), spans)


def number(rng: random.Random) -> str:
    """A value to be found: five digits."""
    return str(rng.randint(10_000, 99_999))
