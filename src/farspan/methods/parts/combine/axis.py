"""The axis `combine` as the interface that a layer's memory calls.

Shapes: N searches, M query rows of a search, S keys, D key width, E value width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from farspan.attention.kernels import Partial, Scoring, partial_attention, weighted_attention
from farspan.attention.visible import Visible
from farspan.methods.parts.axes import Part
from farspan.methods.parts.combine.steering import Steering


class Moment(NamedTuple):
    """When keys are met: in which layer, from which position on, and the number of their piece within the chunk."""

    layer: int
    position: int
    number: int


@dataclass(frozen=True, slots=True)
class Met:
    """Keys that a chunk's queries meet together, rotated queries and keys, and who sees whom (see the kernels).

    `stored`: they lie in blocks; otherwise they are first or recent tokens.
    """

    q_NMD: Tensor
    k_NSD: Tensor
    v_NSE: Tensor
    scoring: Scoring
    mask_MS: Tensor | Visible | None
    bias_NMS: Tensor | None
    stored: bool
    answering: bool
    moment: Moment

    def attend(self) -> Partial:
        """Softmax attention to all of them."""
        return partial_attention(self.q_NMD, self.k_NSD, self.v_NSE, self.scoring, self.mask_MS, self.bias_NMS)

    def weighed(self) -> tuple[Partial, Tensor]:
        """The same, with the weights `[N, M, S]`."""
        return weighted_attention(self.q_NMD, self.k_NSD, self.v_NSE, self.scoring, self.mask_MS, self.bias_NMS)


class Combine(Part, Protocol):
    """`combine`: how a chunk's queries attend to the keys that they meet."""

    @property
    def exact(self) -> bool:
        """Whether it is always softmax attention to all of them."""
        ...

    @property
    def steering(self) -> Steering | None:
        """What is made of a highlighted text; None: nothing."""
        ...

    def attend(self, met: Met) -> Partial:
        """The output, and the log-sum-exp with which it joins that of other keys."""
        ...
