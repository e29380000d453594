"""Where the constructed weights keep what they know in the residual stream, and when their heads rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SLOTS = 8
WRITERS = 4
THETA = 10_000.0
ANSWER, QUOTE, FLAGS = 0, 1, 2
CONSTANT = 4.0
NATS = (8.0, 7.0, 6.0, 5.0, 5.0, 4.0, 4.0, 3.0)
"""How much a match with the token 1, 2, ... 8 before adds to a score, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Token ids that steer the heads: where a stream and an answer begin, the space before a number, `"`."""

    begin: int
    answer: int
    space: int
    quote: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in the residual stream: the token, one constant dim, then SLOTS codes of equal width.

    The first FLAGS dims of the token, and of each code, are one-hot for the answer marker and the quotation mark.
    """

    width: int
    code: int

    @property
    def token(self) -> int:
        """Dims that hold the token; the dim after them is constant."""
        return self.width - SLOTS * self.code - 1

    def slot(self, offset: int) -> slice:
        """The dims that hold the code of the token `offset` (1 to 8) before."""
        start = self.token + 1 + (offset - 1) * self.code
        return slice(start, start + self.code)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a head's query adds to its score for the first token of the stream, where it rests when nothing matches.

    `base` always; the rest per flag, for each place (0 is the token itself, 1 the one before) where the flag is.
    `space` is for the space before a number, where heads that start an answer go on.
    """

    base: float
    answer: float = 0.0
    answer_places: range = range(0)
    quote: float = 0.0
    quote_places: range = range(0)
    space: float = 0.0

    def flags(self) -> Iterator[tuple[int, int, float]]:
        """(flag, place, nats) of every flag that moves the gate."""
        for place in self.answer_places:
            yield ANSWER, place, self.answer
        for place in self.quote_places:
            yield QUOTE, place, self.quote


SHIFTS = {"near": (-1,), "next": (-1,), "same": (0,), "quote": (1,), "bridge": (-1, 1)}
"""Where a query keeps the token that a key keeps at an offset: one place nearer, at the same place, one further.

`near` is `next` with a reach of four tokens. A bridge does two of them, for the second to sixth token of a quote: part
of its context lies before the end of the question.
"""

GATES = {
    "near": Gate(14.0, answer=10.0, answer_places=range(2), quote=10.0, quote_places=range(1, 3)),
    "next": Gate(22.0, answer=14.0, answer_places=range(3), quote=14.0, quote_places=range(1, 4)),
    "same": Gate(80.0, answer=-68.0, answer_places=range(4), quote=60.0, quote_places=range(1, 5), space=-68.0),
    "quote": Gate(100.0, answer=-45.0, answer_places=range(4), quote=-45.0, quote_places=range(1, 5)),
    "bridge": Gate(100.0, answer=-45.0, answer_places=range(1, 6), quote=-45.0, quote_places=range(2, 7)),
}
