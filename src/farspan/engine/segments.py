"""Keys that a chunk's queries meet together in one layer.

Shapes: H query heads, T tokens of the chunk, N searches, X runs of a search, B tokens in a run, M query rows, S keys, K
keys that are asked for, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farspan.attention.runs import Runs
from farspan.engine.folding import Folding


@dataclass(frozen=True, slots=True)
class Segment:
    """Rotated queries, and the runs of keys that they meet.

    `place_NX`, or what broadcasts to it, is where in the text runs begin; `rows_NX` are the blocks that they are, if
    they are. `mass_NS` is where the attention that they receive is added up, if it is. `bias_NMS`, or what broadcasts
    to it, is added to the logits.
    """

    folding: Folding
    q_NMD: Tensor
    runs: Runs
    place_NX: Tensor
    rows_NX: Tensor | None = None
    mass_NS: Tensor | None = None
    bias_NMS: Tensor | None = None

    @property
    def position_NS(self) -> Tensor:
        """Where all keys stand in the text."""
        offset_B = torch.arange(self.runs.length, device=self.place_NX.device)
        position_NS = (self.place_NX.unsqueeze(-1) + offset_B).flatten(1)[:, : self.runs.keys]
        return position_NS.expand(len(self.runs.heads_N), -1)

    @property
    def met_rows(self) -> Tensor | None:
        """The numbers of the blocks of which anything is met, if these are blocks."""
        if self.rows_NX is None or self.runs.skip_N is None:
            return self.rows_NX
        number_X = torch.arange(self.rows_NX.shape[1], device=self.rows_NX.device)
        return self.rows_NX[number_X >= self.runs.skip_N.unsqueeze(1)]

    def places(self, at_HK: Tensor) -> Tensor:
        """Where keys stand in the text, where there is but one token, of each of its heads: those of number `at_HK`."""
        place_NX = self.place_NX.repeat_interleave(len(at_HK) // len(self.place_NX), 0)
        return place_NX.gather(1, at_HK // self.runs.length) + at_HK % self.runs.length

    def last(self) -> Segment:
        """What the chunk's last token meets."""
        if self.folding.tokens == 1:
            return self
        searches, rows = self.folding.of_last
        place_NX = self.place_NX if len(self.place_NX) == 1 else self.place_NX[searches]
        return Segment(
            replace(self.folding, tokens=1),
            self.q_NMD[searches, rows],
            self.runs.part(searches, rows),
            place_NX,
            bias_NMS=None if self.bias_NMS is None else self.bias_NMS[searches, rows],
        )
