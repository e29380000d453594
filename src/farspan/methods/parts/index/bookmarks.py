"""A page is represented by a token behind which all of it lies (RetroLM, arXiv 2502.11444).

Shapes: G KV heads, N pages, B tokens in a page, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from farspan.cache.columns import Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.index.one_key import COLUMN, OneKey


@dataclass(frozen=True, slots=True)
class LastKey(OneKey):
    """The un-rotated key of a block's last token, the only one that has seen the whole block."""

    needs_mass: bool = False
    needs_queries: bool = False

    def rows(self, blocks: BlockTokens) -> Rows:
        """The last keys: `[G, N, D]`."""
        k_GNBD = blocks.k_GNBD
        at_N = torch.arange(k_GNBD.shape[1], device=k_GNBD.device)
        return {COLUMN: k_GNBD[:, at_N, blocks.length_N - 1].float()}
