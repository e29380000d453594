"""A block is represented by the least and the greatest value of every channel (Quest, arXiv 2406.10774, section 3.3).

Shapes: G KV heads, N blocks, B tokens in a block, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.cache.columns import Column, Rows

LEAST, GREATEST = "least", "greatest"


@dataclass(frozen=True, slots=True)
class ChannelBounds:
    """The channel-wise minimum and maximum of a block's un-rotated keys, in float32 so that they stay true bounds."""

    needs_mass: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, heads: int, key_dim: int) -> tuple[Column, ...]:
        """Two vectors of key width for every KV head."""
        return tuple(Column(name, heads, (key_dim,), torch.float32) for name in (LEAST, GREATEST))

    def rows(self, k_GNBD: Tensor, mass_GNB: Tensor, length_N: Tensor) -> Rows:
        """The bounds over a block's tokens: `[G, N, D]` each."""
        beyond_NB1 = (torch.arange(k_GNBD.shape[2], device=length_N.device) >= length_N[:, None]).unsqueeze(-1)
        k_GNBD = k_GNBD.float()
        return {
            LEAST: k_GNBD.masked_fill(beyond_NB1, torch.inf).amin(2),
            GREATEST: k_GNBD.masked_fill(beyond_NB1, -torch.inf).amax(2),
        }
