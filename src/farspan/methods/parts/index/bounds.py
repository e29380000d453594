"""A block is represented by the least and the greatest value of every channel (Quest, arXiv 2406.10774, section 3.3).

Shapes: G KV heads, N blocks, B tokens in a block, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import Column, Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.notes import NoNotes

LEAST, GREATEST = "least", "greatest"


@dataclass(frozen=True, slots=True)
class ChannelBounds(NoNotes):
    """The channel-wise minimum and maximum of a block's un-rotated keys, in float32 so that they stay true bounds."""

    needs_mass: bool = False
    needs_queries: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """Two vectors of key width for every KV head."""
        return tuple(Column(name, facts.kv_heads, (facts.key_dim,), torch.float32) for name in (LEAST, GREATEST))

    def rows(self, blocks: BlockTokens) -> Rows:
        """The bounds over a block's tokens: `[G, N, D]` each."""
        k_GNBD, length_N = blocks.k_GNBD.float(), blocks.length_N
        beyond_NB1 = (torch.arange(k_GNBD.shape[2], device=length_N.device) >= length_N[:, None]).unsqueeze(-1)
        return {
            LEAST: k_GNBD.masked_fill(beyond_NB1, torch.inf).amin(2),
            GREATEST: k_GNBD.masked_fill(beyond_NB1, -torch.inf).amax(2),
        }
