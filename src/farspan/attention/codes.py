"""Keys as small whole numbers, as they are stored where tokens share a grid.

Shapes: G KV heads, n blocks, B tokens in a block, W bytes of a key's codes, g groups of tokens, D key width.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CodedKeys(NamedTuple):
    """Keys in codes of `bits` (8 or 4, then two to a byte, the first in the low half).

    Code c of a channel stands for low + step * c, where every `group` tokens of a block, or what is left of it, share
    a low and a step for each channel: the two numbers of `grid_GngD2`, in half precision.
    """

    code_GnBW: Tensor
    grid_GngD2: Tensor
    bits: int
    group: int
