"""The first tokens, the last ones, and between them those that are worth most."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Self

from farspan.errors import MethodError
from farspan.methods.parts.importance.base import Importance
from farspan.methods.parts.window_share import window_share

_CHUNK_SHARE, _MOST_CHUNK = 8, 512
_ENOUGH = 8


@dataclass(frozen=True, slots=True)
class BestTokens:
    """Keep `capacity` tokens at most, a coming chunk among them: `sinks`, the last `window`, and the best `by` worth.

    A capacity of None is `share` of the model's window, and less where the budget pays for less; all of a text is kept
    while it fits the model's window. A window of None is what `by` needs. A chunk takes an eighth of the capacity
    (512 tokens at most), for which there is always room. `fits`, `chunk` and `half` are found by `resolve`; a layer
    may get only a `portion` of the room for the best tokens, or more than it.
    """

    by: Importance
    capacity: int | None = None
    sinks: int | None = 0
    window: int | None = None
    share: float = 1.0
    stores: bool = False
    fits: int = 0
    chunk: int = 0
    half: bool = False
    portion: float = 1.0

    def resolve(self, window: int) -> Self:
        """Choose the capacity for a model trained on `window` tokens. Raises MethodError for one too small."""
        by = self.by.resolve(window)
        recent = by.recent if self.window is None else self.window
        own = replace(self, by=by, window=recent, half=recent is None)
        if own.capacity is not None:
            return own.sized(own.capacity)
        limit = max(own.least, int(window * self.share))
        return replace(own.sized(limit), fits=max(limit, window))

    def sized(self, average: int) -> Self:
        """The same with this capacity. Raises MethodError when sinks, window and a chunk leave no room in it."""
        own = self._with(average)
        if own.average <= own._around:
            raise MethodError(
                f"a capacity of {average} tokens is too small for {own.sinks} first and {own.window} recent tokens and "
                f"{own.room} to come",
                fix=f"give a capacity of at least {own.least}, or keep fewer recent tokens",
            )
        return own

    @property
    def least(self) -> int:
        """The smallest capacity that leaves room for a token between first and recent ones."""
        assert self.sinks is not None
        enough = _ENOUGH * (1 + self.sinks + (self.window or 0) + self.by.every)
        return bisect_left(range(enough), True, key=lambda limit: self._with(limit)._around < limit)

    def shared(self, share: float) -> Self:
        """The same with `share` of the room for the best tokens, 1 at least; what surrounds them stays as it is."""
        return replace(self, portion=share)

    def _with(self, limit: int) -> Self:
        chunk = window_share(limit, _CHUNK_SHARE, _MOST_CHUNK)
        return replace(self, capacity=limit, fits=limit, chunk=chunk, window=limit // 2 if self.half else self.window)

    def dense(self, window: int) -> int:
        """Everything is attended to until the capacity, or the model's window, is full."""
        return self.fits

    @property
    def pool(self) -> Self:
        """This part itself."""
        return self

    @property
    def average(self) -> int:
        """The capacity."""
        assert self.capacity is not None
        return self.capacity

    @property
    def limit(self) -> int:
        """What surrounds the best tokens, and these."""
        return self._around + self.best

    @property
    def room(self) -> int:
        """Tokens that may come beside those that a choice keeps: a chunk, and before it until the next choice."""
        return self.chunk + self.by.every - 1

    @property
    def best(self) -> int:
        """How many tokens a choice keeps between first and recent ones: a portion of what the capacity leaves."""
        return max(1, round((self.average - self._around) * self.portion))

    @property
    def _around(self) -> int:
        assert self.sinks is not None and self.window is not None
        return self.sinks + self.window + self.room
