"""Blocks that leave the window, as an index looks at them to choose what stands for each.

Shapes: G KV heads, H query heads, N blocks, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from farspan.attention.rope import Rope


class BlockTokens(NamedTuple):
    """N new blocks, of which the first `length_N` tokens count: un-rotated keys, values, the attention that each
    token received in the local window, its own un-rotated queries if the index needs them; how the layer turns them.
    """

    k_GNBD: Tensor
    v_GNBE: Tensor
    mass_GNB: Tensor
    q_HNBD: Tensor
    length_N: Tensor
    rope: Rope | None
