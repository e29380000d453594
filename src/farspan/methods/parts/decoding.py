"""What a codec may look at beside what it encodes or decodes.

Shapes: N searches or KV heads.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.cache.columns import BlockShape
from farspan.methods.parts.notes import Notes


class Surroundings(NamedTuple):
    """What a codec may look at beside the tokens of a block: what is noted of the layer, and how it turns keys."""

    notes: Notes
    rope: Rope | None


class Decoding(NamedTuple):
    """What a codec decodes by: what a block was, the KV head of each of the first dim's N, the notes of the layer."""

    shape: BlockShape
    heads_N: Tensor
    notes: Notes
