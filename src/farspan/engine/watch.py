"""What an answer attended to: for every token that was predicted, each head's strongest keys.

Shapes: H query heads, K keys noted, P places.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.meeting import Strongest

_LAYERS = 256


class Watch:
    """Collects, layer by layer, the places in the text that queries attend to, with the squares of their weights.

    Squares, so that one head that looks at one place says more than many that look everywhere. It keeps the few
    strongest keys of a head, and adds up places that come again, so that it does not grow with what was read.
    """

    def __init__(self) -> None:
        self._layers: list[tuple[Strongest, Tensor]] = []
        self._place_P = torch.empty(0, dtype=torch.int64, device="cpu")
        self._score_P = torch.empty(0, dtype=torch.float32, device="cpu")

    def note(self, strongest: Strongest, lse_H: Tensor) -> None:
        """Take in the strongest keys of one layer's query, and the log-sum-exp of all its logits."""
        self._layers.append((strongest, lse_H))
        if len(self._layers) == _LAYERS:
            self.noted()

    def noted(self) -> tuple[Tensor, Tensor]:
        """Every place once, ascending, int64, and the sum of the squared weights there, float32."""
        if self._layers:
            places = torch.cat([strongest.place_HK for strongest, _ in self._layers]).flatten().cpu()
            logits = torch.cat([strongest.logits_HK for strongest, _ in self._layers])
            weights = torch.exp(logits - torch.cat([lse_H for _, lse_H in self._layers]).unsqueeze(1)).flatten().cpu()
            self._layers = []
            self._place_P, which = torch.cat((self._place_P, places)).unique(return_inverse=True)
            score = torch.cat((self._score_P, weights.square()))
            self._score_P = score.new_zeros(len(self._place_P)).index_add_(0, which, score)
        return self._place_P, self._score_P
