"""Keys without the channels that queries hardly look at (ThinK, arXiv 2407.21018, section 3.2).

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width, T last queries, F frequencies, U units of
two channels, K channels kept; H query heads; M queries of a KV head, n blocks; ... any leading dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NewBlocks, Notes, newest
from farspan.methods.parts.searching import products

_ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class PrunedChannels:
    """Drop `ratio` of the channels of each head's keys, a choice for every block; values are stored as they are.

    A channel counts as much as the mean square of the last `queries` queries there times that of the block's keys.
    """

    ratio: float = 0.4
    queries: int = 32
    lossless: bool = False
    key_columns: tuple[str, ...] = ("k", "k_channels")
    value_columns: tuple[str, ...] = ("v",)

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """Squares of the last queries, the mean over the heads of a KV head; zeros where there are not so many yet."""
        return (Column(_ENERGY, shape.heads, (self.queries, shape.key_dim), torch.float32),)

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """The newest take the place of the oldest."""
        held_GTD = notes[_ENERGY]
        new_GTD = q_HTD[:, -self.queries :].float().square().unflatten(0, (held_GTD.shape[0], -1)).mean(1)
        return {_ENERGY: newest(held_GTD, new_GTD)}

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """Keys are not remembered."""
        return {}

    def columns(self, shape: BlockShape) -> tuple[Column, ...]:
        """The kept channels side by side, and which they are."""
        kept = shape.key_dim - 2 * self._dropped(shape.key_dim)
        return (
            Column("k", shape.heads, (shape.tokens, kept), shape.dtype, by_token=True),
            Column("k_channels", shape.heads, (kept,), torch.int16),
            Column("v", shape.heads, (shape.tokens, shape.value_dim), shape.dtype, by_token=True),
        )

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """Choose the channels by the queries so far."""
        channel_GNK = self._kept(k_GNBD.float().square().mean(-2), around.notes[_ENERGY].mean(1), around.rope)
        index_GNBK = channel_GNK.unsqueeze(-2).expand(*k_GNBD.shape[:-1], -1)
        return {"k": k_GNBD.gather(-1, index_GNBK), "k_channels": channel_GNK.to(torch.int16), "v": v_GNBE}

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """Dropped channels are zero, which attends as if queries had none there either."""
        kept = rows["k"]
        index = rows["k_channels"].long().unsqueeze(-2).expand_as(kept)
        return kept.new_zeros((*kept.shape[:-1], by.shape.key_dim)).scatter_(-1, index, kept)

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """Of every query those channels that a block has, or where there are more queries than keys, decoded keys."""
        kept_GnBK, queries = rows["k"], q_GMD.shape[1]
        heads, blocks, tokens, kept = kept_GnBK.shape
        if queries > tokens:
            return products(q_GMD, self.keys(rows, by))
        channel_GnMK = rows["k_channels"].long().unsqueeze(2).expand(-1, -1, queries, -1)
        q_GnMK = q_GMD.float().unsqueeze(1).expand(-1, blocks, -1, -1).gather(3, channel_GnMK)
        found = products(q_GnMK.flatten(0, 1), kept_GnBK.reshape(heads * blocks, 1, tokens, kept))
        return found.view(heads, blocks, queries, tokens).transpose(1, 2)

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """The column itself."""
        return rows["v"]

    def _dropped(self, width: int) -> int:
        """How many units of two channels are dropped."""
        return int(self.ratio * width / 2)

    def _kept(self, key_GND: Tensor, query_GD: Tensor, rope: Rope | None) -> Tensor:
        """Channels to keep, ascending `[G, N, K]`, by the mean squares of keys and queries."""
        width = key_GND.shape[-1]
        pair_F2 = torch.empty((0, 2), dtype=torch.int64, device="cpu") if rope is None else rope.pairs()
        pair_F2 = pair_F2.to(key_GND.device)
        single = torch.ones(width, dtype=torch.bool, device=key_GND.device)
        single[pair_F2.flatten()] = False
        query_GND = query_GD.unsqueeze(1).expand_as(key_GND)
        paired_GNF = key_GND[..., pair_F2].mean(-1) * query_GND[..., pair_F2].mean(-1)
        alone_GNS, alone_S = key_GND[..., single] * query_GND[..., single], single.nonzero().squeeze(1)
        alone_GNS, order_GNS = alone_GNS.sort(dim=-1, stable=True)
        even = alone_GNS.shape[-1] // 2 * 2
        unit_GNU = torch.cat((paired_GNF, alone_GNS[..., :even].unflatten(-1, (-1, 2)).mean(-1)), dim=-1)
        channel_GNU2 = torch.cat(
            (pair_F2.expand(*key_GND.shape[:-1], -1, -1), alone_S[order_GNS[..., :even]].unflatten(-1, (-1, 2))), dim=-2
        )
        first_GNU = unit_GNU.argsort(dim=-1, stable=True)[..., : self._dropped(width)]
        lost = channel_GNU2.gather(-2, first_GNU.unsqueeze(-1).expand(-1, -1, -1, 2)).flatten(-2)
        keeps_GND = torch.ones_like(key_GND, dtype=torch.bool).scatter_(-1, lost, False)
        return keeps_GND.nonzero()[:, -1].view(*key_GND.shape[:-1], -1)
