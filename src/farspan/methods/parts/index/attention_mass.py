"""A block is represented by the keys that were attended to most (InfLLM, arXiv 2402.04617, section 3.2).

Shapes: G KV heads, N blocks, B tokens in a block, D key width, K representative tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from farspan.cache.columns import Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.index.one_key import COLUMN, OneKey


@dataclass(frozen=True, slots=True)
class MostAttended(OneKey):
    """The mean of the `tokens` keys of a block that received most attention while they were in the local window.

    The authors keep one vector for every query head; here the heads that share a KV head share one, chosen by the sum
    of their attention, which makes the index smaller by the size of a group.
    """

    tokens: int = 4
    needs_mass: bool = True
    needs_queries: bool = False

    def rows(self, blocks: BlockTokens) -> Rows:
        """Mean un-rotated key of the most attended tokens, of all where a block has fewer: `[G, N, D]`."""
        k_GNBD, length_N = blocks.k_GNBD, blocks.length_N
        beyond_NB = torch.arange(k_GNBD.shape[2], device=length_N.device) >= length_N[:, None]
        count = min(self.tokens, k_GNBD.shape[2])
        top_GNK = blocks.mass_GNB.masked_fill(beyond_NB, -1.0).topk(count, dim=-1).indices
        picked_GNKD = k_GNBD.gather(2, top_GNK.unsqueeze(-1).expand(-1, -1, -1, k_GNBD.shape[-1])).float()
        counts_GNK1 = (top_GNK < length_N[:, None]).unsqueeze(-1)
        return {COLUMN: (picked_GNKD * counts_GNK1).sum(2) / counts_GNK1.sum(2)}
