"""How the queries of a chunk are laid out against the keys they share.

Shapes: H query heads, G KV heads, T tokens, N searches, M query rows of a search, W any width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Folding:
    """Turns `[H, T, W]` into `[N, M, W]` and back.

    A search is a KV head (or a query head, `per_head`), for all tokens of the chunk (or for one, `per_token`); its
    rows are the query heads and tokens that share its keys. N runs over heads first, then tokens.
    """

    heads: int
    kv_heads: int
    tokens: int
    per_head: bool = False
    per_token: bool = False

    @property
    def _searched_heads(self) -> int:
        return self.heads if self.per_head else self.kv_heads

    def fold(self, x_HTW: Tensor) -> Tensor:
        """`[H, T, W]` to `[N, M, W]`."""
        searched = self._searched_heads
        if self.per_token:
            x_STRW = x_HTW.reshape(searched, -1, *x_HTW.shape[1:]).transpose(1, 2)
            return x_STRW.reshape(searched * self.tokens, -1, x_HTW.shape[-1])
        return x_HTW.reshape(searched, -1, x_HTW.shape[-1])

    def unfold(self, x_NM: Tensor) -> Tensor:
        """`[N, M, ...]` to `[H, T, ...]`."""
        rest = x_NM.shape[2:]
        if self.per_token:
            x_STR = x_NM.reshape(self._searched_heads, self.tokens, -1, *rest).transpose(1, 2)
            return x_STR.reshape(self.heads, self.tokens, *rest)
        return x_NM.reshape(self.heads, self.tokens, *rest)

    @property
    def of_last(self) -> tuple[slice, slice]:
        """Which searches, and which of their rows, are of the chunk's last token; in the order of the heads."""
        last, every = slice(self.tokens - 1, None, self.tokens), slice(None)
        return (last, every) if self.per_token else (every, last)
