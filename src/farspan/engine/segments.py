"""Which keys a chunk's queries meet in one layer, in which order and at which positions.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches, X blocks, B tokens in a block, M query
rows, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from farspan.attention.kernels import Scoring
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape
from farspan.cache.recent import Tokens
from farspan.engine.folding import Folding
from farspan.methods.parts.axes import Fetched, Search
from farspan.methods.parts.method import Plan


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys that are attended to together: rotated queries and keys, values, who sees whom, places in the text.

    `rows_NX` are the blocks that they came from, if they did.
    """

    folding: Folding
    q_NMD: Tensor
    k_NSD: Tensor
    v_NSE: Tensor
    mask_TS: Tensor | None
    position_NS: Tensor
    rows_NX: Tensor | None = None

    @property
    def mask_MS(self) -> Tensor | None:
        """The mask for the query rows of a search."""
        return None if self.mask_TS is None else self.folding.mask(self.mask_TS)


@dataclass(frozen=True, slots=True)
class Scene:
    """One layer at the moment of one chunk, whose keys are the last of the recent ones.

    `seen` counts the chunk's tokens.
    """

    plan: Plan
    shape: BlockShape
    rope: Rope | None
    sinks: Tokens
    recent: Tokens
    seen: int
    arena: Arena | None
    index: Arena | None
    carried: dict[str, Tensor]
    answering: bool
    q_HTD: Tensor
    scoring: Scoring

    @property
    def is_dense(self) -> bool:
        """Whether everything so far is attended to at its true position."""
        return self.seen <= self.plan.dense

    def near(self) -> Segment:
        """The recent tokens at their true distances."""
        keys, queries = self.recent.length, self.q_HTD.shape[1]
        at_S = torch.arange(keys, device=self.q_HTD.device)
        distance_TS = at_S[keys - queries :, None] - at_S
        mask_TS = distance_TS >= 0
        if not self.is_dense and self.plan.positions.beyond != "near":
            mask_TS &= distance_TS < self.plan.window
        folding = self._folding()
        return Segment(
            folding,
            folding.fold(self._rotate(self.q_HTD, at_S[keys - queries :])),
            self._rotate(self.recent.k_GTD, at_S),
            self.recent.v_GTE,
            None if queries == 1 and bool(mask_TS.all()) else mask_TS,
            (at_S + self._base).expand(self._kv_heads, -1),
        )

    def far(self) -> Iterator[Segment]:
        """Fetched blocks, then the sinks and what is between blocks and window, at the method's positions."""
        if self.is_dense:
            return
        far = self.sinks.length
        for fetched in self._fetched():
            far = max(far, self.sinks.length + fetched.k_NSD.shape[1])
            yield self._recalled(fetched, far)
        yield from self._edges(far)

    def _fetched(self) -> Iterator[Fetched]:
        if self.arena is not None and self.arena.length and self.plan.select.recalls:
            probe_HTD = self._rotate(self.q_HTD, self._at_T.clamp(max=self.plan.window))
            yield from self.plan.select.segments(
                Search(
                    q_HTD=probe_HTD,
                    scoring=self.scoring,
                    arena=self.arena,
                    index=self.index,
                    answering=self.answering,
                    carried=self.carried,
                    codec=self.plan.codec,
                    shape=self.shape,
                )
            )

    def _recalled(self, fetched: Fetched, far: int) -> Segment:
        folding = self._folding(fetched.per_head, fetched.per_token)
        slot_S = torch.arange(self.sinks.length, self.sinks.length + fetched.k_NSD.shape[1], device=self.q_HTD.device)
        position_NS = self._places(fetched.rows_NX)
        q_NMD = folding.fold(self._far_queries(far))
        k_NSD = self._rotate(fetched.k_NSD, self.plan.positions.keys(slot_S, position_NS))
        return Segment(folding, q_NMD, k_NSD, fetched.v_NSE, None, position_NS, fetched.rows_NX)

    def _edges(self, far: int) -> Iterator[Segment]:
        """The sinks and, where the method meets them as far keys, tokens that left the window but are in no block."""
        older = self.recent.length - self.plan.window if self.plan.positions.beyond == "far" else 0
        kept = [self.sinks, self.recent.part(0, max(0, older))]
        keys = sum(part.length for part in kept)
        if keys == 0:
            return
        starts = zip((0, self._base), kept, strict=True)
        place_S = torch.cat([torch.arange(start, start + part.length) for start, part in starts]).to(self.q_HTD.device)
        mask_TS = (place_S < self.plan.sinks) | (self._at_T[:, None] - place_S >= self.plan.window)
        folding = self._folding()
        slot_S = torch.arange(keys, device=self.q_HTD.device)
        k_GSD = torch.cat([part.k_GTD for part in kept], dim=1)
        yield Segment(
            folding,
            folding.fold(self._far_queries(far)),
            self._rotate(k_GSD, self.plan.positions.keys(slot_S, place_S)),
            torch.cat([part.v_GTE for part in kept], dim=1),
            None if bool(mask_TS.all()) else mask_TS,
            place_S.expand(self._kv_heads, -1),
        )

    @property
    def _kv_heads(self) -> int:
        return self.recent.k_GTD.shape[0]

    @property
    def _base(self) -> int:
        """The position in the text of the first recent token."""
        return self.seen - self.recent.length

    @property
    def _at_T(self) -> Tensor:
        """The positions in the text of the queries."""
        return torch.arange(self.seen - self.q_HTD.shape[1], self.seen, device=self.q_HTD.device)

    def _folding(self, per_head: bool = False, per_token: bool = False) -> Folding:
        return Folding(self.q_HTD.shape[0], self._kv_heads, self.q_HTD.shape[1], per_head, per_token)

    def _far_queries(self, far: int) -> Tensor:
        at_T = self._at_T
        near = self.plan.positions.beyond == "near"
        reach_T = at_T - self._base + 1 if near else torch.full_like(at_T, self.plan.window)
        return self._rotate(self.q_HTD, self.plan.positions.queries(at_T, far, reach_T))

    def _places(self, rows_NX: Tensor) -> Tensor:
        """Where the tokens of blocks stand in the text: `[N, X]` to `[N, X * B]`."""
        offset_B = torch.arange(self.plan.block, device=rows_NX.device)
        return (self.plan.sinks + rows_NX[:, :, None] * self.plan.block + offset_B).flatten(1)

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        return x if self.rope is None else self.rope.rotate(x, positions)
