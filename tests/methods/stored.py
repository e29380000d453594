"""Blocks as an index gets them, and the layer that they are of, for tests of one part alone.

Shapes: H query heads, G KV heads, T tokens, N blocks, B tokens in a block, D key width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.attention.queries import Queries
from farspan.attention.softmax import Scoring
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape
from farspan.methods.parts.axes import Codec
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.searching import Search


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


def answering_search(
    shape: BlockShape, codec: Codec, arena: Arena, index: Arena, q_HTD: Tensor, **other: Any
) -> Search:
    """What a selection is given while answering, with queries that no rotation turns."""
    usual = {"answering": True, "carried": {}, "peers": (), "notes": {}, "scoring": Scoring(1.0)}
    return Search(queries=Queries(q_HTD), shape=shape, codec=codec, arena=arena, index=index, **{**usual, **other})


def blocks(k_GNBD: Tensor) -> BlockTokens:
    """Whole blocks of these keys, which are their values too."""
    length_N = torch.full(k_GNBD.shape[1:2], k_GNBD.shape[2])
    return BlockTokens(k_GNBD, k_GNBD, k_GNBD[..., 0], k_GNBD[:0], length_N, None)
