"""Blocks as an index gets them, and the layer that they are of, for tests of one part alone.

Shapes: G KV heads, N blocks, B tokens in a block, D key width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.adapter import LayerFacts
from farspan.methods.parts.block_tokens import BlockTokens


def layer(heads: int, width: int) -> LayerFacts:
    """A layer of so many KV heads, with one query head each."""
    return LayerFacts(
        index=0,
        q_heads=heads,
        kv_heads=heads,
        key_dim=width,
        value_dim=width,
        scaling=width**-0.5,
        sliding_window=None,
        rope_kind=None,
        softcap=None,
        has_sinks=False,
    )


def blocks(k_GNBD: Tensor) -> BlockTokens:
    """Whole blocks of these keys, which are their values too."""
    length_N = torch.full(k_GNBD.shape[1:2], k_GNBD.shape[2])
    return BlockTokens(k_GNBD, k_GNBD, k_GNBD[..., 0], k_GNBD[:0], length_N, None)
