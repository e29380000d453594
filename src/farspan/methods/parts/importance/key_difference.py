"""Keys that differ from the others (KeyDiff, arXiv 2504.15364, section 3).

Shapes: G KV heads, A candidates, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from farspan.methods.parts.importance.base import Held, Importance


@dataclass(frozen=True)
class KeyDifference(Importance):
    """The less a key points to where the keys point on average, the more it is worth."""

    def scores(self, held: Held) -> Tensor:
        """The negative cosine of each key and the mean of all normalised keys, the newer ones among them."""
        unit_GAD = normalize(held.rotated_keys(), dim=-1)
        newer_GND = normalize(held.rotated_newer(), dim=-1)
        anchor_G1D = torch.cat((unit_GAD, newer_GND), dim=1).mean(1, keepdim=True)
        return -(unit_GAD * normalize(anchor_G1D, dim=-1)).sum(-1)
