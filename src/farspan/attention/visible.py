"""Which keys the tokens of a chunk see where that is a range that moves with the token, as it is in a text.

Shapes: T tokens, S keys, M query rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Visible:
    """Token t of `tokens` sees the keys from `low + t` to just before `high + t`, or to `least` if that is further.

    Bounds beyond the keys that there are mean the first key and the last. Query rows are the tokens, over again for
    every head that shares the keys.
    """

    tokens: int
    low: int
    high: int
    least: int = 0

    @classmethod
    def everything(cls, tokens: int, keys: int) -> Visible:
        """Every token sees every key."""
        return cls(tokens, -tokens, keys)

    def last(self) -> Visible:
        """What the last token sees."""
        past = self.tokens - 1
        return Visible(1, self.low + past, self.high + past, self.least)

    def hides(self, keys: int) -> bool:
        """Whether there is a token that does not see all of so many keys."""
        return len(self.shared(range(self.tokens), keys)) < keys

    def seen(self, tokens: range, keys: int) -> range:
        """From the first key that any of these tokens sees to the last."""
        return self._range(tokens[0], tokens[-1], keys)

    def shared(self, tokens: range, keys: int) -> range:
        """The keys that all of these tokens see."""
        return self._range(tokens[-1], tokens[0], keys)

    def tiles(self, size: int) -> Iterator[range]:
        """The tokens in parts of about the same number, `size` at most."""
        parts = -(-self.tokens // size)
        for part in range(parts):
            yield range(part * self.tokens // parts, (part + 1) * self.tokens // parts)

    def hidden(self, tokens: range, keys: range, device: torch.device) -> Tensor:
        """Which of these tokens does not see which of these keys: `[T, S]`."""
        at_T1 = torch.arange(tokens.start, tokens.stop, dtype=torch.int32, device=device).unsqueeze(1)
        at_S = torch.arange(keys.start, keys.stop, dtype=torch.int32, device=device)
        hidden_TS = at_S >= (at_T1 + self.high).clamp_min_(self.least)
        return hidden_TS.logical_or_(at_S < at_T1 + self.low)

    def mask(self, rows: int, keys: int, device: torch.device) -> Tensor:
        """Which query row sees which key: `[M, S]`."""
        return ~self.hidden(range(self.tokens), range(keys), device).repeat(rows // self.tokens, 1)

    def bounds(self, rows: int, keys: int) -> tuple[Tensor, Tensor]:
        """The first key that each query row sees, and where those end: `[M]` each, int64."""
        at_T = torch.arange(self.tokens, device="cpu")
        low_T = (at_T + self.low).clamp_(0, keys)
        high_T = (at_T + self.high).clamp_(min=self.least).clamp_(max=keys)
        return low_T.repeat(rows // self.tokens), high_T.repeat(rows // self.tokens)

    def _range(self, first: int, last: int, keys: int) -> range:
        """From the first key that the one token sees to the last that the other does."""
        start = min(keys, max(0, self.low + first))
        return range(start, max(start, min(keys, max(self.least, self.high + last))))
