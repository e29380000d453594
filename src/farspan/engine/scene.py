"""Which keys a chunk's queries meet in one layer, in which order and at which positions.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches, X blocks or runs, B tokens in a block, M
query rows, D key width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farspan.attention.queries import Queries
from farspan.attention.runs import Table, once_if_alike, tokens_of
from farspan.attention.softmax import Scoring
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape
from farspan.cache.recent import Tokens
from farspan.engine.highlight import Focus
from farspan.engine.pool import Pooled
from farspan.engine.segments import Segment
from farspan.engine.standing import Places, Standing
from farspan.methods.parts.combine.axis import Met, Moment
from farspan.methods.parts.notes import Notes
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import fetch


@dataclass(frozen=True, slots=True)
class Scene(Standing):
    """One layer at the moment of one chunk, and all that is kept of what came before.

    `weighs` says whether the mass of recent tokens and of the pool grows. `focus` is there when attention is steered.
    """

    shape: BlockShape
    pool: Pooled | None
    arena: Arena | None
    index: Arena | None
    carried: dict[str, Tensor]
    notes: Notes
    peers: Sequence[Mapping[str, Tensor]]
    answering: bool
    scoring: Scoring
    weighs: bool
    layer: int
    focus: Focus | None

    def segments(self) -> Iterator[Segment]:
        """All that the chunk's queries meet."""
        yield from map(self._steered, self._near())
        yield from map(self._steered, self._far())

    def met(self, segment: Segment, number: int) -> Met:
        """A segment, of this number, as the axis `combine` looks at it."""
        return Met(
            q_NMD=segment.q_NMD,
            runs=segment.runs,
            scoring=self.scoring,
            bias_NMS=segment.bias_NMS,
            stored=segment.rows_NX is not None,
            answering=self.answering,
            moment=Moment(self.layer, self.seen - self.q_HTD.shape[1], number),
            observed=segment.mass_NS is not None,
        )

    @property
    def at_once(self) -> bool:
        """Whether all that is met may go into one softmax for the one token that there is."""
        return self.q_HTD.shape[1] == 1 and self.focus is None and self.plan.combine.plain(self.answering)

    def _near(self) -> Iterator[Segment]:
        """The recent tokens at their true distances; where blocks are judged by the attention that their keys receive
        in the window, those before it by themselves.
        """
        keys, queries = self.recent.length, self.q_HTD.shape[1]
        whole = self.is_dense or self.plan.positions.beyond == "near"
        apart = whole and self.plan.index.needs_mass and keys > self.plan.window
        reach = keys if whole and not apart else self.plan.window
        low = max(0, keys - reach) if queries == 1 and not self.weighs else 0
        places, met = self.near(low, reach), self.recent.part(low, keys) if low else self.recent
        yield self._segment(self.near_angles(), met, places)
        if apart:
            older = self.recent.part(0, keys - self.plan.window)
            yield replace(self._segment(self.near_angles(), older, self.aside()), mass_NS=None)

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
                blocks = fetched.before + fetched.rows_NX.shape[1] + fetched.after
                far = max(far, self.sinks.length + blocks * self.plan.block)
                yield self._recalled(search, fetched, far, hidden_X)
        yield from self._edges(far)

    def _steered(self, segment: Segment) -> Segment:
        """A segment whose keys count less where attention is steered away from them."""
        if self.focus is None:
            return segment
        bias_NMS = self.focus.bias(segment.position_NS, segment.folding)
        hidden = segment.bias_NMS
        return replace(segment, bias_NMS=bias_NMS if hidden is None else bias_NMS + hidden)

    def _search(self) -> Search | None:
        """What the method's selection looks at, if there is anything to fetch."""
        if self.arena is None or not self.arena.length or not self.plan.select.recalls:
            return None
        return Search(
            queries=Queries(self.q_HTD, self.rope, self.searching_angles()),
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
        rows_X = self.focus.blocks(self.plan.sinks, self.plan.block, stored).to(self.device)
        return rows_X if len(rows_X) else None

    def _fetched(self, search: Search, pinned_X: Tensor | None) -> Iterator[tuple[Fetched, Tensor | None]]:
        """Pieces of what is fetched, each with the blocks in it that are hidden since they are met elsewhere."""
        if pinned_X is not None:
            heads_G = torch.arange(self.kv_heads, device=self.device)
            rows_GX = pinned_X.expand(self.kv_heads, -1)
            for fetched in fetch(search, rows_GX, heads_G, per_head=False, per_token=False):
                yield fetched, None
        for fetched in self.plan.select.segments(search):
            yield fetched, pinned_X

    def _recalled(self, search: Search, fetched: Fetched, far: int, hidden_X: Tensor | None) -> Segment:
        found, block, positions = fetched.found, self.plan.block, self.plan.positions
        rows_NX, skip_N, length, step = once_if_alike(fetched.rows_NX), fetched.skip_N, block, positions.step
        place_NX = rows_NX * block + self.plan.sinks
        aligned = math.gcd(positions.alike, block, self.plan.sinks)
        if step is None and aligned == positions.alike:
            step = 1
        elif step is None:
            length = aligned
            found, place_NX = found.cut(block, length), tokens_of(place_NX, block)[:, ::length]
            skip_N = None if skip_N is None else skip_N * (block // length)
        count = place_NX.shape[1]
        angles = self.far_angles(far) if positions.recalls_at is None else self.searching_angles()
        if step == 0 or positions.recalls_at is not None:
            turn = self.same_turn(count, length)
        else:
            slot_1X = torch.arange(0, count * length, length, device=self.device).unsqueeze(0)
            slot_1X = slot_1X + fetched.before * block + self.sinks.length
            turn = self.turn(positions.keys(slot_1X, place_NX), length, step or 0, positions.alike)
        folding = self.folding(fetched.per_head, fetched.per_token)
        runs = found.runs(length, turn, skip_N)
        bias_N1S = None if hidden_X is None else self._hiding(fetched.rows_NX, hidden_X)
        return Segment(
            folding,
            self.q_HTD,
            angles,
            runs,
            place_NX,
            fetched.rows_NX,
            bias_NMS=bias_N1S,
            fleeting=fetched.fleeting,
        )

    def _hiding(self, rows_NX: Tensor, hidden_X: Tensor) -> Tensor:
        hidden_NS = torch.isin(rows_NX, hidden_X).repeat_interleave(self.plan.block, 1)
        bias_NS = torch.zeros(hidden_NS.shape, dtype=torch.float32, device=rows_NX.device)
        return bias_NS.masked_fill_(hidden_NS, float("-inf")).unsqueeze(1)

    def _pooled(self, pool: Pooled, far: int) -> Segment:
        at_1S = torch.arange(pool.tokens.length, device=self.device).unsqueeze(0)
        position_GS = self.plan.positions.keys(self.sinks.length + at_1S, pool.position_GC)
        places = Places(1, at_1S, pool.position_GC, self.turn(position_GS, 1, 1))
        return self._segment(self.far_angles(far), pool.tokens, places)

    def _edges(self, far: int) -> Iterator[Segment]:
        """The sinks and, where the method meets them as far keys, tokens that left the window but are in no block."""
        older = max(0, self.recent.length - self.plan.window) if self.plan.positions.beyond == "far" else 0
        if self.sinks.length + older:
            places = self.edges(older)
            runs = self.runs(self.sinks.k_GTD, self.sinks.v_GTE, places)
            if older:
                runs = replace(runs, keys=runs.keys + older, in_order=False, elsewhere=self.aged(places))
            yield Segment(self.folding(), self.q_HTD, self.far_angles(far), runs, places.place_NX)

    def _segment(self, angles: Table | None, met: Tokens, places: Places) -> Segment:
        """All of these tokens, which every KV head meets."""
        runs = self.runs(met.k_GTD, met.v_GTE, places)
        mass_GS = met.mass_GT if self.weighs else None
        return Segment(self.folding(), self.q_HTD, angles, runs, places.place_NX, mass_NS=mass_GS)
