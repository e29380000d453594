"""What an answer attended to: for every token that was predicted, each head's strongest keys.

Shapes: H query heads, S keys of a segment, X keys noted.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STRONGEST = 8


class Watch:
    """Collects, layer by layer, positions in the text and attention weights of the queries it is shown.

    It keeps the few strongest keys of a head, so that its size does not grow with what was read.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._positions: list[Tensor] = []
        self._weights: list[Tensor] = []

    def note(self, logits_HS: Tensor, position_HS: Tensor) -> None:
        """Take in one segment of the keys that a query sees."""
        logits_HX, at_HX = logits_HS.topk(min(_STRONGEST, logits_HS.shape[1]), dim=1)
        self._pending.append((logits_HX, position_HS.gather(1, at_HX)))

    def close(self, lse_H: Tensor) -> None:
        """End one layer's query: turn its logits into weights, given their log-sum-exp over all segments."""
        logits_HX = torch.cat([logits for logits, _ in self._pending], dim=1)
        position_HX = torch.cat([position for _, position in self._pending], dim=1)
        self._pending = []
        self._weights.append(torch.exp(logits_HX - lse_H.unsqueeze(1)).flatten().cpu())
        self._positions.append(position_HX.flatten().cpu())

    def noted(self) -> tuple[Tensor, Tensor]:
        """All positions, int64, and their weights, float32, flat and in no order."""
        if not self._weights:
            return torch.empty(0, dtype=torch.int64), torch.empty(0)
        return torch.cat(self._positions), torch.cat(self._weights)
