"""Where the constructed weights keep what they know in the residual stream, and when their heads rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SLOTS = 12
WRITERS = 4
ANSWER, QUOTE, FLAGS = 0, 1, 2
CONSTANT = 4.0


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

    The first `code` dims of the token are its code; the first FLAGS of those are one-hot for the answer marker and
    the quotation mark, whose code is nothing else.
    """

    width: int
    code: int

    @property
    def token(self) -> int:
        """Dims that hold the token; the dim after them is constant."""
        return self.width - SLOTS * self.code - 1

    @property
    def content(self) -> int:
        """Dims of a code that tell tokens apart."""
        return self.code - FLAGS

    def slot(self, offset: int) -> slice:
        """The dims that hold the code of the token `offset` (0: the token itself, 1 to SLOTS) before."""
        start = self.token + 1 + (offset - 1) * self.code if offset else 0
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


@dataclass(frozen=True, slots=True)
class Matcher:
    """A head that finds the place where its query's context stood before, and copies the token there.

    `shifts`: where a query keeps the token that a key keeps at an offset (one place nearer is -1, one further 1), and
    what a match at offset 1, 2, ... then adds to the score, in nats. `shuns`: it puts off the quotation mark, which
    has the quote itself before it, and the answer, which matches itself.
    """

    shifts: dict[int, tuple[float, ...]]
    gate: Gate
    shuns: bool = False


_LONG = (12.0, 14.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 6.0, 5.0, 5.0)


def _quote(places: range) -> Gate:
    """Open when the answer marker is at one of these places, and the quotation mark before it."""
    behind = range(places.start + 1, places.stop + 1)
    return Gate(100.0, answer=-45.0, answer_places=places, quote=-45.0, quote_places=behind)


def _from(first: int) -> tuple[float, ...]:
    """The nats of offsets from `first` on."""
    return (0.0,) * (first - 1) + _LONG[first - 1 :]


MATCHERS = {
    # Copying that goes on. At the beginning of a continued quote it would match what is two tokens too far on.
    "next": Matcher({-1: _LONG}, Gate(40.0, answer=60.0, answer_places=range(4), quote=70.0, quote_places=range(1, 8))),
    # `next` with a reach of four tokens.
    "near": Matcher(
        {-1: _LONG[:WRITERS]}, Gate(14.0, answer=20.0, answer_places=range(2), quote=70.0, quote_places=range(1, 8))
    ),
    # "What is the number of the amber castle?" has `castle` as far back as "the amber castle is" has it.
    "same": Matcher(
        {0: (0.0, 16.0, 18.0, 18.0, 14.0, 12.0, 8.0, 4.0)},
        Gate(80.0, answer=-68.0, answer_places=range(4), quote=60.0, quote_places=range(1, 5), space=-68.0),
        shuns=True,
    ),
    # A quote's last word stands one further back: `"` and the answer marker lie between. As its continuation grows,
    # more of the context lies behind them, one nearer, and less before.
    "early": Matcher({-1: _LONG[:3], 1: _LONG}, _quote(range(3)), shuns=True),
    "late": Matcher({-1: _LONG[:9], 1: _from(5)}, _quote(range(3, 9)), shuns=True),
    "bridge": Matcher({-1: _LONG, 1: _LONG}, _quote(range(9)), shuns=True),
}
"""The kinds of matching heads by name."""

RESTATE = Gate(200.0, answer=-75.0, answer_places=range(2))
"""Heads that repeat a word of the question, as some answers begin: half open, so that training can tell when."""
