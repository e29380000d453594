"""A block is represented by one key for every query head, read from it by attention (LongHeads, arXiv 2402.10685,
section 3.2).

Shapes: H query heads, R of them to a KV head, G KV heads, N blocks, B tokens in a block, S tokens of one block, D key
width, E value width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import Column, Rows
from farspan.errors import MethodError
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.notes import NoNotes

COLUMN = "chunk"


@dataclass(frozen=True, slots=True)
class ChunkKeys(NoNotes):
    """Every token of the block attends to all of it, at the positions 0, 1, 2, ... inside of the block; the mean of
    what they read asks the block's keys, at the same positions, for the key that stands for it.
    """

    needs_mass: bool = False
    needs_queries: bool = True

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """One vector of key width for every query head. Raises MethodError where values cannot ask for keys."""
        if facts.key_dim != facts.value_dim:
            raise MethodError(
                f"a block's values of width {facts.value_dim} cannot ask its keys of width {facts.key_dim}",
                fix="use a method with another index, such as infllm, with this model",
            )
        return (Column(COLUMN, facts.q_heads, (facts.key_dim,), torch.float32),)

    def rows(self, blocks: BlockTokens) -> Rows:
        """The chunk keys, block by block: `[H, N, D]`."""
        keys = [
            self._key(blocks.q_HNBD[:, n, :length], blocks.k_GNBD[:, n, :length], blocks.v_GNBE[:, n, :length], blocks)
            for n, length in enumerate(blocks.length_N.tolist())
        ]
        return {COLUMN: torch.stack(keys, dim=1)}

    def _key(self, q_HSD: Tensor, k_GSD: Tensor, v_GSE: Tensor, blocks: BlockTokens) -> Tensor:
        q_HSD, k_GSD, v_GSE = q_HSD.float(), k_GSD.float(), v_GSE.float()
        heads, tokens, width = k_GSD.shape
        if blocks.rope is not None:
            table = blocks.rope.table(torch.arange(tokens, device=k_GSD.device))
            q_HSD, k_GSD = blocks.rope.apply(q_HSD, table), blocks.rope.apply(k_GSD, table)
        read_GME = scaled_dot_product_attention(q_HSD.reshape(heads, -1, width), k_GSD, v_GSE)
        asks_GRE = read_GME.unflatten(1, (-1, tokens)).mean(2)
        return scaled_dot_product_attention(asks_GRE, k_GSD, k_GSD).flatten(0, 1)
