"""Far keys all at one distance, the edge of the window (LM-Infinite, arXiv 2308.16137; InfLLM, arXiv 2402.04617)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from farspan.methods.parts.axes import Beyond


@dataclass(frozen=True, slots=True)
class CappedDistance:
    """No key is further away than the local window is long; the order of far keys is lost.

    `beyond` says what becomes of tokens that left the window and are in no block: `hidden` in LM-Infinite, `far` in
    InfLLM. With a `recall_share`, fetched keys are met at the model's window divided by that.
    """

    beyond: Beyond = "far"
    recall_share: int | None = None
    recalls_at: int | None = None
    step: int | None = 0
    keeps_distance: bool = False
    alike: ClassVar[int] = 1

    def resolve(self, window: int) -> Self:
        """The cap is the local window, whatever its length."""
        return self if self.recall_share is None else replace(self, recalls_at=max(1, window // self.recall_share))

    def queries(self, position_T: Tensor, far: int, reach_T: Tensor) -> Tensor:
        """Queries stand at the cap, or at their own position while that is less."""
        return torch.minimum(position_T, reach_T)

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Far keys stand at 0."""
        return torch.zeros_like(slot_S)
