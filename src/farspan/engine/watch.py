"""What an answer attended to: for every token that was predicted, each head's strongest keys.

Shapes: H query heads, S keys of a segment, X keys noted, P places.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_STRONGEST = 8
_COMPACT_AT = 1 << 16


class Watch:
    """Collects, layer by layer, the places in the text that queries attend to, with the squares of their weights.

    Squares, so that one head that looks at one place says more than many that look everywhere. It keeps the few
    strongest keys of a head, and adds up places that come again, so that it does not grow with what was read.
    """

    def __init__(self) -> None:
        self._strongest: tuple[Tensor, Tensor] | None = None
        self._places: list[Tensor] = []
        self._scores: list[Tensor] = []

    def note(self, logits_HS: Tensor, places: Callable[[Tensor], Tensor]) -> None:
        """Take in one segment of the keys that a query sees; `places` tells where keys `[H, X]` of it stand."""
        logits_HX, at_HX = logits_HS.topk(min(_STRONGEST, logits_HS.shape[1]), dim=1)
        position_HX = places(at_HX)
        if self._strongest is not None:
            logits_HX = torch.cat((self._strongest[0], logits_HX), dim=1)
            position_HX = torch.cat((self._strongest[1], position_HX), dim=1)
            logits_HX, at_HX = logits_HX.topk(min(_STRONGEST, logits_HX.shape[1]), dim=1)
            position_HX = position_HX.gather(1, at_HX)
        self._strongest = logits_HX, position_HX

    def close(self, lse_H: Tensor) -> None:
        """End one layer's query: turn its logits into weights, given their log-sum-exp over all segments."""
        assert self._strongest is not None
        logits_HX, position_HX = self._strongest
        self._strongest = None
        self._places.append(position_HX.flatten().cpu())
        self._scores.append(torch.exp(logits_HX - lse_H.unsqueeze(1)).square().flatten().cpu())
        if sum(part.numel() for part in self._places) > _COMPACT_AT:
            place_P, score_P = self.noted()
            self._places, self._scores = [place_P], [score_P]

    def noted(self) -> tuple[Tensor, Tensor]:
        """Every place once, ascending, int64, and the sum of the squared weights there, float32."""
        if not self._places:
            return torch.empty(0, dtype=torch.int64), torch.empty(0)
        place_P, which = torch.cat(self._places).unique(return_inverse=True)
        return place_P, torch.zeros(len(place_P)).index_add_(0, which, torch.cat(self._scores).float())
