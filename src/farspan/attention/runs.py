"""Keys and values where they lie: runs of neighbouring tokens, and attention to them without copying what is met.

A search meets some runs of one KV head, say the blocks that it fetched, or all that is recent. Keys are stored
un-rotated; where a run begins decides how its keys are turned.

Shapes: G KV heads, S stored tokens, N searches, X runs of a search, B tokens in a run, M query rows, K keys of a
search, D key width, E value width, F rotary frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.attention.visible import Visible

Table = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Turn:
    """The angles of keys in runs: the first `alike` keys of a run stand at its position, each further `alike` ones
    `step` on (1 or 0).

    `position_NX` may have one row for all searches. Layers whose keys stand alike share one, and so its tables.
    """

    rope: Rope
    position_NX: Tensor
    length: int
    step: int
    alike: int = 1

    @cached_property
    def start(self) -> Table:
        """cos and sin where runs begin, the rope's scaling in them: `[N or 1, X, F]`, float32."""
        cos_NXF, sin_NXF = self.rope.table(self.position_NX)
        return cos_NXF.contiguous(), sin_NXF.contiguous()

    @cached_property
    def within(self) -> Table | None:
        """cos and sin of what a key is further than the first of its run, `[B, F]`, float32; None where it is not."""
        if not self.step:
            return None
        angles_BF = self._offset_B.to(torch.float32).unsqueeze(1) * self.rope.inv_freq_F.to(self._offset_B.device)
        return angles_BF.cos(), angles_BF.sin()

    @cached_property
    def addresses(self) -> dict[str, int]:
        """The part of `struct job` that says how keys are turned. The tables stay as long as this does."""
        (start_cos, start_sin), within = self.start, self.within
        return {
            "turned": 1,
            "frequencies": self.rope.width // 2,
            "interleaved": int(self.rope.interleaved),
            "start_row": 0 if start_cos.shape[0] == 1 else start_cos.stride(0),
            "start_cos": start_cos.data_ptr(),
            "start_sin": start_sin.data_ptr(),
            "within_cos": 0 if within is None else within[0].data_ptr(),
            "within_sin": 0 if within is None else within[1].data_ptr(),
        }

    @cached_property
    def whole(self) -> Table:
        """cos and sin of all keys: `[N or 1, X * B, F]`."""
        if not self.step:
            cos_NXF, sin_NXF = self.start
            return cos_NXF.repeat_interleave(self.length, 1), sin_NXF.repeat_interleave(self.length, 1)
        return self.rope.table((self.position_NX.unsqueeze(2) + self._offset_B).flatten(1))

    @cached_property
    def _offset_B(self) -> Tensor:
        """How much further a key stands than the first of its run."""
        return torch.arange(self.length, device=self.position_NX.device) // self.alike * self.step


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Keys and values `[G, S, D]`, `[G, S, E]` of other memories, and which of them a run lies in: 1 is the first, 0
    the one that the runs name themselves: `[N, X]`.
    """

    memories: tuple[tuple[Tensor, Tensor], ...]
    which_NX: Tensor


@dataclass(frozen=True, eq=False)
class Runs:
    """What searches meet: search i, of KV head `heads_N[i]`, the runs of `length` tokens from `first_NX[i]` on.

    All runs are whole but the last, which ends when there are `keys` of them. `skip_N`: so many of the first runs of a
    search are not met, where searches meet different numbers. `visible` says which keys the rows see; None: all.
    `turn` is None for keys that are met as they are stored. `in_order` says that each search meets all that one head
    stores, from the first token on, and that search i has head i. Where not all runs lie in one memory, `elsewhere`
    says which do not.
    """

    k_GSD: Tensor
    v_GSE: Tensor
    heads_N: Tensor
    first_NX: Tensor
    length: int
    keys: int
    turn: Turn | None = None
    skip_N: Tensor | None = None
    visible: Visible | None = None
    in_order: bool = False
    elsewhere: Elsewhere | None = None

    @cached_property
    def k_NKD(self) -> Tensor:
        """The keys side by side and turned."""
        k_NKD = self._side_by_side(0)
        if self.turn is None:
            return k_NKD
        cos, sin = self.turn.whole
        return self.turn.rope.apply(k_NKD, (cos[:, : self.keys], sin[:, : self.keys]))

    @cached_property
    def v_NKE(self) -> Tensor:
        """The values side by side."""
        return self._side_by_side(1)

    def sight(self, rows: int) -> Tensor | Visible | None:
        """Which keys so many query rows see, where it is not all: bounds, or what broadcasts to `[N, M, K]`."""
        if self.skip_N is None:
            return self.visible
        key_K = torch.arange(self.keys, device=self.first_NX.device)
        mask_N1K = (key_K >= (self.skip_N * self.length).unsqueeze(1)).unsqueeze(1)
        return mask_N1K if self.visible is None else mask_N1K & self.visible.mask(rows, self.keys, key_K.device)

    def bounds(self, rows: int) -> Visible:
        """Which keys so many query rows see, as bounds; those of runs that are skipped are not hidden."""
        return self.visible or Visible.everything(rows, self.keys)

    def last(self, searches: slice) -> Runs:
        """What the last token meets, which takes part in these searches."""
        turn = self.turn
        if turn is not None and len(turn.position_NX) > 1:
            turn = replace(turn, position_NX=turn.position_NX[searches])
        return replace(
            self,
            heads_N=self.heads_N[searches],
            first_NX=self.first_NX[searches],
            turn=turn,
            skip_N=None if self.skip_N is None else self.skip_N[searches],
            visible=None if self.visible is None else self.visible.last(),
            in_order=self.in_order and searches == slice(None),
            elsewhere=self.elsewhere and replace(self.elsewhere, which_NX=self.elsewhere.which_NX[searches]),
        )

    def _side_by_side(self, which: int) -> Tensor:
        """Keys (0) or values (1)."""
        x_GSW = (self.k_GSD, self.v_GSE)[which]
        if self.in_order:
            return x_GSW[:, : self.keys]
        token_NK = tokens_of(self.first_NX, self.length)[:, : self.keys]
        if self.elsewhere is None:
            return x_GSW[self.heads_N.unsqueeze(1), token_NK]
        memory_NK = self.elsewhere.which_NX.repeat_interleave(self.length, 1)[:, : self.keys]
        heads_N1 = self.heads_N.unsqueeze(1)
        x_NKW = x_GSW.new_empty((*token_NK.shape, x_GSW.shape[-1]))
        for number, memory_GSW in enumerate((x_GSW, *(memory[which] for memory in self.elsewhere.memories))):
            if memory_GSW.shape[1] == 0:  # a fork that has stored nothing yet
                continue
            here_NK = memory_NK == number
            own_NKW = memory_GSW[heads_N1, token_NK.masked_fill(~here_NK, 0)]
            x_NKW = torch.where(here_NK.unsqueeze(-1), own_NKW, x_NKW)
        return x_NKW


def once_if_alike(x_NX: Tensor) -> Tensor:
    """One row, if all searches share it."""
    return x_NX[:1] if x_NX.stride(0) == 0 else x_NX


def tokens_of(first_NX: Tensor, length: int) -> Tensor:
    """The numbers of all tokens of runs that begin there: `[N, X]` to `[N, X * B]`."""
    return (first_NX.unsqueeze(-1) + torch.arange(length, device=first_NX.device)).flatten(1)
