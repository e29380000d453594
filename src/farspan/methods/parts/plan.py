"""A method made ready for one model.

Shapes: H query heads, T tokens, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.methods.parts.axes import Allocate, Codec, Frequencies, Index, Keep, Pool, Positions, Segment, Select
from farspan.methods.parts.combine.axis import Combine


@dataclass(frozen=True, slots=True)
class Plan:
    """A method made ready for one model: the part of every axis with its numbers filled in.

    `dense` is the number of tokens up to which everything is attended to at its true position.
    """

    positions: Positions
    frequencies: Frequencies
    segment: Segment
    index: Index
    select: Select
    keep: Keep
    codec: Codec
    allocate: Allocate
    combine: Combine
    dense: int

    @property
    def block(self) -> int:
        """Tokens in a stored row: a block, or one where blocks differ in length."""
        return self.segment.row

    @property
    def sinks(self) -> int:
        """First tokens that stay on the device."""
        assert self.keep.sinks is not None
        return self.keep.sinks

    @property
    def window(self) -> int:
        """Last tokens that stay on the device."""
        assert self.keep.window is not None
        return self.keep.window

    @property
    def pool(self) -> Pool | None:
        """What of the tokens between the first and the last stays as well, if any does."""
        return self.keep.pool

    @property
    def weighs(self) -> bool:
        """Whether every token's attention is added up."""
        return self.index.needs_mass or (self.pool is not None and self.pool.by.mass)

    @property
    def surprise(self) -> bool:
        """Whether it is looked at how much a token surprised the model."""
        return (self.keep.stores and self.segment.surprise) or (self.pool is not None and self.pool.by.surprise)

    def sized(self, average: int) -> Plan:
        """The same with a pool for so many tokens in a layer, on average; only where there is one."""
        assert self.pool is not None
        return replace(self, keep=self.pool.sized(average), dense=average)

    def narrowed(self, share: Fraction) -> Plan:
        """The same with this share of the recent tokens at hand, where it makes no difference which those are."""
        if not self.meets_all:
            return self
        keep = cast(Any, self.keep)  # every one of them is a dataclass
        return replace(self, keep=replace(keep, window=max(1, int(self.window * share))))

    def for_layer(self, layer: int, layers: int) -> Plan:
        """What holds for one of the layers."""
        share = self.allocate.share(layer, layers)
        return self if self.pool is None else replace(self, keep=self.pool.shared(share))

    def rope(self, rope: Rope, length: int) -> Rope:
        """Into which angles positions are turned once `length` tokens have been seen; `rope` is the model's own.

        Raises MethodError where the model's do not suit the method.
        """
        if not self.turns_otherwise(length):
            return rope
        far = self.select.needs_all or self.positions.keeps_distance
        return self.frequencies.rope(rope, length if far else min(length, self.dense))

    def turns_otherwise(self, length: int) -> bool:
        """Whether positions are turned into other angles than the trained ones once `length` tokens have been seen."""
        begins = self.frequencies.begins
        return begins is not None and length > begins

    def sharpened(self, q_HTD: Tensor, layer: int, seen: int) -> Tensor:
        """Queries, the last of `seen` tokens, whose logits are to be larger, the more tokens they meet."""
        if not self.turns_otherwise(seen):
            return q_HTD
        met_T = torch.arange(seen - q_HTD.shape[1], seen, device=q_HTD.device) + 1
        if not self.select.needs_all:
            met_T = met_T.clamp(max=self.dense)
        scale_T = self.frequencies.sharpness(layer, met_T)
        return q_HTD if scale_T is None else (q_HTD * scale_T[:, None]).to(q_HTD.dtype)

    def keeps_attention(self, length: int) -> bool:
        """Whether everything is attended to as the model would have it, up to `length` tokens."""
        return (length <= self.dense or self.meets_all) and not self.turns_otherwise(length)

    @property
    def meets_all(self) -> bool:
        """Whether every token is met at its true position and as it was, wherever it lies."""
        return self.select.needs_all and self.positions.keeps_distance and self.codec.lossless and self.combine.exact


class HeadsPlan(NamedTuple):
    """A plan, and the KV heads of a layer that it is for."""

    heads: tuple[int, ...]
    plan: Plan
