"""Which keys a chunk's queries meet in one layer, in which order and at which positions.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches, X blocks, B tokens in a block, M query
rows, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farspan.attention.kernels import Scoring
from farspan.attention.rope import Rope
from farspan.attention.visible import Visible
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape
from farspan.cache.recent import Tokens
from farspan.engine.folding import Folding
from farspan.engine.highlight import Focus
from farspan.engine.pool import Pooled
from farspan.methods.parts.combine.axis import Met, Moment
from farspan.methods.parts.notes import Notes
from farspan.methods.parts.plan import Plan
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import fetch

_PIECE_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys that are attended to together: rotated queries and keys, values, who sees whom, places in the text.

    Who sees whom differs by token, or by search. `rows_NX` are the blocks that they came from, if they did. `mass_NS`
    is where the attention that they receive is added up, if it is. `bias_NMS`, or what broadcasts to it, is added to
    the logits.
    """

    folding: Folding
    q_NMD: Tensor
    k_NSD: Tensor
    v_NSE: Tensor
    visible: Visible | None
    position_NS: Tensor
    rows_NX: Tensor | None = None
    mass_NS: Tensor | None = None
    bias_NMS: Tensor | None = None
    mask_NS: Tensor | None = None

    @property
    def mask_MS(self) -> Tensor | Visible | None:
        """What the query rows of a search see: `[M, S]`, `[N, 1, S]`, or bounds."""
        return self.visible if self.mask_NS is None else self.mask_NS.unsqueeze(1)

    @property
    def last_mask(self) -> Tensor | None:
        """The same for the chunk's last token."""
        if self.mask_NS is not None:
            return self.folding.last_searches(self.mask_NS).unsqueeze(1)
        return None if self.visible is None else self.visible.last().mask(1, self.k_NSD.shape[1], self.k_NSD.device)

    @property
    def met_rows(self) -> Tensor | None:
        """The numbers of the blocks of which anything is met, if these are blocks."""
        if self.rows_NX is None or self.mask_NS is None:
            return self.rows_NX
        return self.rows_NX[self.mask_NS.view(*self.rows_NX.shape, -1).any(-1)]


@dataclass(frozen=True, slots=True)
class Scene:
    """One layer at the moment of one chunk, whose keys are the last of the recent ones.

    `seen` counts the chunk's tokens. `weighs` says whether the mass of recent tokens and of the pool grows. `focus` is
    there when attention is steered.
    """

    plan: Plan
    shape: BlockShape
    rope: Rope | None
    sinks: Tokens
    pool: Pooled | None
    recent: Tokens
    seen: int
    arena: Arena | None
    index: Arena | None
    carried: dict[str, Tensor]
    notes: Notes
    peers: Sequence[Mapping[str, Tensor]]
    answering: bool
    q_HTD: Tensor
    scoring: Scoring
    weighs: bool
    layer: int
    focus: Focus | None = None

    @property
    def is_dense(self) -> bool:
        """Whether everything so far is attended to at its true position."""
        return self.seen <= self.plan.dense

    def segments(self) -> Iterator[Segment]:
        """All that the chunk's queries meet."""
        yield self._steered(self._near())
        yield from map(self._steered, self._far())

    def _near(self) -> Segment:
        """The recent tokens at their true distances."""
        keys, queries = self.recent.length, self.q_HTD.shape[1]
        at_S = torch.arange(keys, device=self.q_HTD.device)
        windowed = not self.is_dense and self.plan.positions.beyond != "near"
        first = keys - queries + 1
        visible = Visible(queries, first - (self.plan.window if windowed else keys), first)
        folding = self._folding()
        return Segment(
            folding,
            folding.fold(self._rotate(self.q_HTD, at_S[keys - queries :])),
            self._rotate(self.recent.k_GTD, at_S),
            self.recent.v_GTE,
            visible,
            (at_S + self._base).expand(self._kv_heads, -1),
            mass_NS=self.recent.mass_GT if self.weighs else None,
        )

    def _far(self) -> Iterator[Segment]:
        """Pool or fetched blocks, then the sinks and what is between blocks and window, at the method's positions."""
        if self.is_dense:
            return
        far = self.sinks.length
        if self.pool is not None and self.pool.tokens.length:
            far += self.pool.tokens.length
            yield self._pooled(self.pool, far)
        search = self._search()
        if search is not None:
            pinned_X = self._pinned(search)
            for fetched, hidden_X in self._fetched(search, pinned_X):
                far = max(far, self.sinks.length + fetched.k_NSD.shape[1])
                yield self._recalled(search, fetched, far, hidden_X)
        yield from self._edges(far)

    def _steered(self, segment: Segment) -> Segment:
        """A segment whose keys count less where attention is steered away from them."""
        if self.focus is None:
            return segment
        bias_NMS = self.focus.bias(segment.position_NS, segment.folding)
        hidden = segment.bias_NMS
        return replace(segment, bias_NMS=bias_NMS if hidden is None else bias_NMS + hidden)

    def met(self, segment: Segment, number: int) -> Met:
        """A segment, of this number, as the axis `combine` looks at it."""
        return Met(
            q_NMD=segment.q_NMD,
            k_NSD=segment.k_NSD,
            v_NSE=segment.v_NSE,
            scoring=self.scoring,
            mask_MS=segment.mask_MS,
            bias_NMS=segment.bias_NMS,
            stored=segment.rows_NX is not None,
            answering=self.answering,
            moment=Moment(self.layer, self.seen - self.q_HTD.shape[1], number),
        )

    def _search(self) -> Search | None:
        """What the method's selection looks at, if there is anything to fetch."""
        if self.arena is None or not self.arena.length or not self.plan.select.recalls:
            return None
        return Search(
            q_HTD=self._rotate(self.q_HTD, self._at_T.clamp(max=self.plan.positions.recalls_at or self.plan.window)),
            still_HTD=self.q_HTD,
            scoring=self.scoring,
            arena=self.arena,
            index=self.index,
            answering=self.answering,
            carried=self.carried,
            peers=self.peers,
            codec=self.plan.codec,
            shape=self.shape,
            notes=self.notes,
        )

    def _pinned(self, search: Search) -> Tensor | None:
        """The stored blocks of a highlighted text, which are fetched whatever the method selects: `[X]`."""
        if self.focus is None or self.plan.select.needs_all:
            return None
        stored = range(search.arena.first, search.arena.length)
        rows_X = self.focus.blocks(self.plan.sinks, self.plan.block, stored).to(self.q_HTD.device)
        return rows_X if len(rows_X) else None

    def _fetched(self, search: Search, pinned_X: Tensor | None) -> Iterator[tuple[Fetched, Tensor | None]]:
        """Pieces of what is fetched, each with the blocks in it that are hidden since they are met elsewhere."""
        if pinned_X is not None:
            heads_G = torch.arange(self._kv_heads, device=self.q_HTD.device)
            for rows_X in pinned_X.split(max(1, _PIECE_TOKENS // self.plan.block)):
                rows_GX = rows_X.expand(self._kv_heads, -1)
                yield fetch(search, rows_GX, heads_G, per_head=False, per_token=False), None
        for fetched in self.plan.select.segments(search):
            yield fetched, pinned_X

    def _recalled(self, search: Search, fetched: Fetched, far: int, hidden_X: Tensor | None) -> Segment:
        folding = self._folding(fetched.per_head, fetched.per_token)
        slot_S = torch.arange(self.sinks.length, self.sinks.length + fetched.k_NSD.shape[1], device=self.q_HTD.device)
        position_NS = self._places(fetched.rows_NX)
        if self.plan.positions.recalls_at is None:
            q_HTD, k_at_NS = self._far_queries(far), self.plan.positions.keys(slot_S, position_NS)
        else:
            q_HTD, k_at_NS = search.q_HTD, torch.zeros_like(slot_S[:1])
        q_NMD, k_NSD = folding.fold(q_HTD), self._rotate(fetched.k_NSD, k_at_NS)
        bias_N1S = None if hidden_X is None else self._hiding(fetched.rows_NX, hidden_X)
        mask_NS = None if fetched.mask_NS is None or bool(fetched.mask_NS.all()) else fetched.mask_NS
        return Segment(
            folding,
            q_NMD,
            k_NSD,
            fetched.v_NSE,
            None,
            position_NS,
            fetched.rows_NX,
            mask_NS=mask_NS,
            bias_NMS=bias_N1S,
        )

    def _hiding(self, rows_NX: Tensor, hidden_X: Tensor) -> Tensor:
        hidden_NS = torch.isin(rows_NX, hidden_X).repeat_interleave(self.plan.block, 1)
        return torch.zeros(hidden_NS.shape, device=rows_NX.device).masked_fill_(hidden_NS, float("-inf")).unsqueeze(1)

    def _pooled(self, pool: Pooled, far: int) -> Segment:
        folding = self._folding()
        slot_S = torch.arange(self.sinks.length, far, device=self.q_HTD.device)
        return Segment(
            folding,
            folding.fold(self._far_queries(far)),
            self._rotate(pool.tokens.k_GTD, self.plan.positions.keys(slot_S, pool.position_GC)),
            pool.tokens.v_GTE,
            None,
            pool.position_GC,
            mass_NS=pool.tokens.mass_GT if self.weighs else None,
        )

    def _edges(self, far: int) -> Iterator[Segment]:
        """The sinks and, where the method meets them as far keys, tokens that left the window but are in no block."""
        older = self.recent.length - self.plan.window if self.plan.positions.beyond == "far" else 0
        kept = [self.sinks, self.recent.part(0, max(0, older))]
        keys = sum(part.length for part in kept)
        if keys == 0:
            return
        starts = zip((0, self._base), kept, strict=True)
        place_S = torch.cat([torch.arange(start, start + part.length) for start, part in starts]).to(self.q_HTD.device)
        queries, sinks = self.q_HTD.shape[1], self.sinks.length
        beyond = sinks + self.recent.length - queries - self.plan.window + 1
        visible = Visible(queries, -queries, beyond, least=sinks + max(0, self.plan.sinks - self._base))
        folding = self._folding()
        slot_S = torch.arange(keys, device=self.q_HTD.device)
        k_GSD = torch.cat([part.k_GTD for part in kept], dim=1)
        yield Segment(
            folding,
            folding.fold(self._far_queries(far)),
            self._rotate(k_GSD, self.plan.positions.keys(slot_S, place_S)),
            torch.cat([part.v_GTE for part in kept], dim=1),
            visible,
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
