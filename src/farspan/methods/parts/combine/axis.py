"""The axis `combine` as the interface that a layer's memory calls.

Shapes: N searches, M query rows of a search, S keys, D key width, E value width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from farspan.attention.kernels import attend_runs
from farspan.attention.runs import Runs
from farspan.attention.softmax import Partial, Scoring, observed_attention
from farspan.methods.parts.axes import Part
from farspan.methods.parts.combine.steering import Steering


class Moment(NamedTuple):
    """When keys are met: in which layer, from which position on, and the number of their piece within the chunk."""

    layer: int
    position: int
    number: int


@dataclass(frozen=True, slots=True)
class Met:
    """Keys that a chunk's queries meet together, and the rotated queries.

    `bias_NMS`, or what broadcasts to it, is added to the logits. `stored`: they lie in blocks; otherwise they are first
    or recent tokens. `observed`: the logits are wanted.
    """

    q_NMD: Tensor
    runs: Runs
    scoring: Scoring
    bias_NMS: Tensor | None
    stored: bool
    answering: bool
    moment: Moment
    observed: bool = False

    def attend(self) -> tuple[Partial, Tensor | None]:
        """Softmax attention to all of them, and the logits `[N, M, S]` if they are wanted."""
        if self.bias_NMS is None:
            return attend_runs(self.q_NMD, self.runs, self.scoring, self.observed)
        runs, sight = self.runs, self.runs.sight(self.q_NMD.shape[1])
        return observed_attention(self.q_NMD, runs.k_NKD, runs.v_NKE, self.scoring, sight, self.bias_NMS)


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

    def plain(self, answering: bool) -> bool:
        """Whether everything that is met goes into one softmax, while reading or while answering."""
        ...

    def attend(self, met: Met) -> tuple[Partial, Tensor | None]:
        """The output, and the log-sum-exp with which it joins that of other keys; the logits if they are wanted."""
        ...
