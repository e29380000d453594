"""Keys that a chunk's queries meet together in one layer.

Shapes: H query heads, T tokens of the chunk, N searches, X runs of a search, B tokens in a run, M query rows, S keys,
D key width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from farspan.attention.meeting import Meeting
from farspan.attention.runs import Runs, Table, tokens_of
from farspan.engine.folding import Folding


@dataclass(frozen=True, eq=False)
class Segment:
    """Un-rotated queries, the angles at which they meet keys, and the runs of those.

    `place_NX`, or what broadcasts to it, is where in the text runs begin; `rows_NX` are the blocks that they are, if
    they are. `mass_NS` is where the attention that they receive is added up, if it is. `bias_NMS`, or what broadcasts
    to it, is added to the logits. What is `fleeting` is gone when the next segment is asked for.
    """

    folding: Folding
    q_HTD: Tensor
    angles: Table | None
    runs: Runs
    place_NX: Tensor
    rows_NX: Tensor | None = None
    mass_NS: Tensor | None = None
    bias_NMS: Tensor | None = None
    fleeting: bool = False

    @cached_property
    def q_NMD(self) -> Tensor:
        """The queries turned and laid out for searches."""
        if self.angles is None or self.runs.turn is None:
            return self.folding.fold(self.q_HTD)
        return self.folding.fold(self.runs.turn.rope.apply(self.q_HTD, self.angles))

    @property
    def position_NS(self) -> Tensor:
        """Where all keys stand in the text."""
        position_NS = tokens_of(self.place_NX, self.runs.length)[:, : self.runs.keys]
        return position_NS.expand(len(self.runs.heads_N), -1)

    @property
    def met_rows(self) -> Tensor | None:
        """The numbers of the blocks of which anything is met, if these are blocks."""
        if self.rows_NX is None or self.runs.skip_N is None:
            return self.rows_NX
        number_X = torch.arange(self.rows_NX.shape[1], device=self.rows_NX.device)
        return self.rows_NX[number_X >= self.runs.skip_N.unsqueeze(1)]

    def last(self) -> Meeting:
        """What the chunk's last token meets; if it is the only one, mass grows by its attention."""
        if self.folding.tokens == 1:
            return Meeting(self.runs, self.angles, self.place_NX, self.mass_NS)
        searches, _ = self.folding.of_last
        place_NX = self.place_NX if len(self.place_NX) == 1 else self.place_NX[searches]
        angles = None if self.angles is None else (self.angles[0][-1:], self.angles[1][-1:])
        return Meeting(self.runs.last(searches), angles, place_NX)
