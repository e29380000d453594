"""Which numbers a keyword takes, said once, where the keyword is: `factor: Annotated[float, Numbers(1, 1e6)] = 4.0`."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 10**9


@dataclass(frozen=True, slots=True)
class Numbers:
    """All numbers from `least` to `most`, or between them where an end is left out: `above` the one, `below` the other.

    A keyword that says nothing takes 0 to a billion, or 1 to a billion where it is a whole number.
    """

    least: float = 1
    most: float = MOST
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = self.least < value if self.above else self.least <= value
        return low and (value < self.most if self.below else value <= self.most)

    def __str__(self) -> str:
        low = "above" if self.above else "from"
        high = ", below" if self.below else ", at most" if self.above else " to"
        return f"{low} {_written(self.least)}{high} {_written(self.most)}"


def _written(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


WHOLE = Numbers()
FROM_ZERO = Numbers(0)
SHARE = Numbers(0, 1)
PART = Numbers(0, 1, below=True)
"""A share of something of which some is left."""
WEIGHT = Numbers(0, 1, above=True)
"""How much something counts that counts less than other things."""
FACTOR = Numbers(1, 1e6)
"""How many trained windows positions may go."""
TURNS = Numbers(0.001, 1e6)
"""How often a frequency turns in the trained window."""
BASE = Numbers(1, 1e15)
"""Of whose powers rotary frequencies are made."""
