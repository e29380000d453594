"""Every block, piece by piece: full attention over all tiers within bounded memory.

Shapes: G KV heads, n blocks in a piece, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.methods.parts.searching import Fetched, Search, side_by_side
from farspan.methods.parts.select.ranking import When, works

_PIECE_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Everything:
    """All blocks are attended to, whichever tier they lie in.

    Where others choose `when` to look, it may do the same, and without `needs_all` it attends to all that is left.
    """

    when: When = "both"
    recalls: bool = True
    needs_all: bool = True

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Chunks may have any length."""
        return None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """All blocks, a few thousand tokens at a time, in pieces that do not hang on where tiers end."""
        if not works(self.when, search.answering):
            return
        count = max(1, _PIECE_TOKENS // search.block)
        for first, k_GnBD, v_GnBE in _aligned(search.keys_and_values(count), count):
            heads, blocks, block, _ = k_GnBD.shape
            rows_Gn = torch.arange(first, first + blocks, device=k_GnBD.device).expand(heads, -1)
            found = side_by_side(k_GnBD.flatten(1, 2), v_GnBE.flatten(1, 2), block)
            yield Fetched(found, rows_Gn, per_head=False, per_token=False, fleeting=True)


def _aligned(pieces: Iterator[tuple[int, Tensor, Tensor]], count: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The same blocks, cut where their number is a multiple of `count`."""
    start, waiting = 0, list[tuple[Tensor, Tensor]]()
    for first, k_GnBD, v_GnBE in pieces:
        at, end = 0, k_GnBD.shape[1]
        while at < end:
            start = start if waiting else first + at
            until = min(end, at + count - (first + at) % count)
            waiting.append((k_GnBD[:, at:until], v_GnBE[:, at:until]))
            at = until
            if (first + at) % count == 0:
                yield start, *_joined(waiting)
                waiting = []
    if waiting:
        yield start, *_joined(waiting)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if len(parts) == 1:
        return parts[0]
    return torch.cat([k_GnBD for k_GnBD, _ in parts], 1), torch.cat([v_GnBE for _, v_GnBE in parts], 1)
