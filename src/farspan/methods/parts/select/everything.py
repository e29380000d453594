"""Every block, piece by piece: full attention over all tiers within bounded memory.

Shapes: G KV heads, n blocks in a piece, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch

from farspan.methods.parts.axes import Fetched, Search

_PIECE_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Everything:
    """All blocks are attended to, whichever tier they lie in."""

    recalls: bool = True
    needs_all: bool = True

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Chunks may have any length."""
        return None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """All blocks, a few thousand tokens at a time."""
        limit = max(1, _PIECE_TOKENS // search.block)
        for first, k_GnBD, v_GnBE in search.keys_and_values(limit):
            heads, count, block, _ = k_GnBD.shape
            rows_Gn = torch.arange(first, first + count, device=k_GnBD.device).expand(heads, -1)
            yield Fetched(
                k_GnBD.reshape(heads, count * block, -1),
                v_GnBE.reshape(heads, count * block, -1),
                rows_Gn,
                per_head=False,
                per_token=False,
            )
