"""What one token meets in a layer, piece by piece, and the keys that draw most of its attention.

Shapes: H query heads, N searches, X runs, M rows of a search, S keys, K keys that are told, J two times as many, E
value width, F rotary frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.runs import Runs, Table

STRONGEST = 8


@dataclass(frozen=True, slots=True)
class Meeting:
    """Runs of keys, and the cos and sin `[1, F]` by which the token's queries are turned to meet them.

    `place_NX`, or one row for all searches, is where in the text runs begin. `mass_NK`, if it is there, grows by the
    attention that the keys receive.
    """

    runs: Runs
    angles: Table | None
    place_NX: Tensor
    mass_NK: Tensor | None = None


class Strongest(NamedTuple):
    """Of every head the largest logits, and where in the text their keys stand: `[H, STRONGEST]`, the largest first.

    Where there are fewer keys, logits of -inf at place 0.
    """

    logits_HK: Tensor
    place_HK: Tensor

    def joined(self, other: Strongest) -> Strongest:
        """The strongest of both; of equals those of this one first."""
        logits_HJ = torch.cat((self.logits_HK, other.logits_HK), dim=1)
        place_HJ = torch.cat((self.place_HK, other.place_HK), dim=1)
        logits_HK, at_HK = logits_HJ.sort(dim=1, descending=True, stable=True)
        return Strongest(logits_HK[:, :STRONGEST], place_HJ.gather(1, at_HK[:, :STRONGEST]))

    @classmethod
    def of(cls, logits_HS: Tensor, runs: Runs, place_NX: Tensor) -> Strongest:
        """Those among the logits of all keys of these runs."""
        lacking = max(0, STRONGEST - logits_HS.shape[1])
        logits_HS = torch.nn.functional.pad(logits_HS, (0, lacking), value=float("-inf"))
        logits_HK, at_HK = logits_HS.topk(STRONGEST, dim=1)
        at_HK = at_HK.masked_fill(logits_HK == float("-inf"), 0)
        place_HX = place_NX.repeat_interleave(len(logits_HS) // len(place_NX), 0)
        place_HK = place_HX.gather(1, at_HK // runs.length) + at_HK % runs.length
        return cls(logits_HK, place_HK.masked_fill(logits_HK == float("-inf"), 0))


class TokenAttention(NamedTuple):
    """What one token draws from all that it meets: the output in float32 and the log-sum-exp of its logits, and
    the strongest keys where they were asked for.
    """

    out_HE: Tensor
    lse_H: Tensor
    strongest: Strongest | None
