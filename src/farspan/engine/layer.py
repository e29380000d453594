"""The memory of one layer: it takes in a chunk's keys and values and answers the chunk's queries.

Every token is in exactly one place: the sinks (first tokens), the arena (blocks), the recent tokens, or dropped.
It knows the parts of a method by their interfaces only, and nothing of text or of other layers.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches, M query rows, B tokens in a block,
D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, LayerFacts
from farspan.attention.kernels import Partial, Scoring, attention_weights, merge, partial_attention
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import row_bytes
from farspan.cache.recent import Recent, Tokens
from farspan.engine.folding import Folding
from farspan.engine.watch import Watch
from farspan.methods.parts.axes import Search
from farspan.methods.parts.method import Plan

_MERGE_EVERY = 8


@dataclass(frozen=True, slots=True)
class _Segment:
    """Keys that are attended to together: rotated queries and keys, values, who sees whom, places in the text."""

    folding: Folding
    q_NMD: Tensor
    k_NSD: Tensor
    v_NSE: Tensor
    mask_TS: Tensor | None
    position_NS: Tensor

    @property
    def mask_MS(self) -> Tensor | None:
        return None if self.mask_TS is None else self.folding.mask(self.mask_TS)


class _Before(NamedTuple):
    """What a chunk changes beside adding tokens, as it was before."""

    seen: int
    fetched: int
    mass_GT: Tensor | None


class LayerMemory:
    """One layer of a session. `prepare`, `settle` and `attend` are called in this order for every chunk."""

    def __init__(self, facts: LayerFacts, plan: Plan, capacity: int, arena: Arena | None, like: Tensor) -> None:
        self.facts = facts
        self.plan = plan
        self.arena = arena
        self.rope: Rope | None = None
        self.answering = False
        self.watch: Watch | None = None
        self.seen = self.dropped = self.fetched = 0
        self._before: _Before | None = None
        self.sinks = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, max(1, plan.sinks), like.dtype, like.device)
        self.recent = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, capacity, like.dtype, like.device)

    def prepare(self, tokens: int) -> None:
        """Make sure that lower tiers take what must leave before `tokens` more; raises StorageFull, changes nothing."""
        _, blocks, _ = self._leaving(tokens)
        if blocks and self.arena is not None:
            self.arena.prepare(blocks)

    def settle(self, tokens: int) -> None:
        """Move what must leave the recent tokens before `tokens` more: to the sinks, into blocks, or away."""
        sinks, blocks, dropped = self._leaving(tokens)
        if sinks:
            self.sinks.append(*self.recent.take(sinks))
        if blocks and self.arena is not None:
            self.arena.append(self._as_rows(self.recent.take(blocks * self.plan.block)))
        if dropped:
            self.recent.take(dropped)
            self.dropped += dropped

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in un-rotated keys and values and answer the un-rotated queries: `[H, T, E]` in the queries' dtype."""
        scoring = Scoring(call.scaling, call.softcap)
        self._before = _Before(self.seen, self.fetched, self._mass())
        self.recent.append(k_GTD, v_GTD)
        self.seen += k_GTD.shape[1]
        near = self._near(q_HTD)
        parts: list[Partial] = []
        for segment in (near, *self._far(q_HTD, scoring)):
            folded = partial_attention(segment.q_NMD, segment.k_NSD, segment.v_NSE, scoring, segment.mask_MS)
            parts.append(Partial(segment.folding.unfold(folded.out_NME), segment.folding.unfold(folded.lse_NM)))
            if self.watch is not None:
                self._note(self.watch, segment, scoring)
            if len(parts) == _MERGE_EVERY:
                parts = [merge(parts)]
        out_HTE, lse_HT = merge(parts, None if call.sinks_H is None else call.sinks_H[:, None].expand(q_HTD.shape[:2]))
        if self.watch is not None:
            self.watch.close(lse_HT[:, -1])
        if self.plan.index.needs_mass:
            self._add_mass(near, lse_HT, scoring)
        return out_HTE.to(q_HTD.dtype)

    @property
    def exact(self) -> bool:
        """Whether this layer has computed what full attention would."""
        return self._is_dense or self.plan.select.needs_all

    def stored(self) -> int:
        """Tokens in tiers below the device."""
        rows = {} if self.arena is None else self.arena.rows_in()
        return (rows.get("host", 0) + rows.get("disk", 0)) * self.plan.block

    def lost(self) -> int:
        """Tokens that are nowhere any more."""
        return self.dropped + (0 if self.arena is None else self.arena.dropped * self.plan.block)

    def kv_bytes(self) -> dict[str, int]:
        """Bytes of keys, values and index by tier."""
        amounts = {"device": self.sinks.tokens.nbytes + self.recent.tokens.nbytes, "host": 0, "disk": 0}
        if self.arena is not None:
            for tier, rows in self.arena.rows_in().items():
                amounts[tier] += rows * row_bytes(self.arena.columns)
        return amounts

    def state_dict(self) -> tuple[dict[str, int], dict[str, Tensor]]:
        """Plain values, and the sinks and recent tokens; the blocks are in the arena's files."""
        plain = {"seen": self.seen, "dropped": self.dropped, "fetched": self.fetched}
        if self.arena is not None:
            plain |= {"first": self.arena.first, "rows": self.arena.length, "lost_rows": self.arena.dropped}
        held = {"sinks": self.sinks.tokens, "recent": self.recent.tokens}
        return plain, {
            f"{name}.{field}": value for name, part in held.items() for field, value in part._asdict().items()
        }

    def load_state(self, plain: Mapping[str, int], tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Continue from what `state_dict` gave, its names behind `prefix`."""
        self.seen, self.dropped, self.fetched = plain["seen"], plain["dropped"], plain["fetched"]
        for name, queue in (("sinks", self.sinks), ("recent", self.recent)):
            queue.append(*(tensors[f"{prefix}{name}.{field}"] for field in Tokens._fields))

    def copy_from(self, other: LayerMemory) -> None:
        """Begin where another layer stands; its blocks are shared through the arena."""
        self.seen, self.dropped, self.fetched = other.seen, other.dropped, other.fetched
        self.sinks.append(*other.sinks.tokens)
        self.recent.append(*other.recent.tokens)

    def undo(self, seen: int) -> None:
        """Take back the chunk that was begun when `seen` tokens had been seen, if this layer took it in."""
        if self.seen == seen or self._before is None:
            return
        self.recent.drop_last(self.seen - seen)
        self.seen, self.fetched = self._before.seen, self._before.fetched
        if self._before.mass_GT is not None:
            self.recent.tokens.mass_GT.copy_(self._before.mass_GT)

    def _mass(self) -> Tensor | None:
        return self.recent.tokens.mass_GT.clone() if self.plan.index.needs_mass else None

    @property
    def base(self) -> int:
        """The position in the text of the first recent token."""
        return self.seen - len(self.recent)

    def _leaving(self, tokens: int) -> tuple[int, int, int]:
        """What must leave the recent tokens before `tokens` more: tokens to the sinks, blocks, tokens dropped."""
        if self.seen + tokens <= self.plan.dense:
            return 0, 0, 0
        aged = max(0, len(self.recent) - self.plan.window)
        sinks = min(self.plan.sinks - len(self.sinks), aged)
        blocks = (aged - sinks) // self.plan.block if self.plan.keep.stores else 0
        return sinks, blocks, 0 if self.plan.keep.stores else aged - sinks

    def _as_rows(self, tokens: Tokens) -> dict[str, Tensor]:
        heads, block = self.facts.kv_heads, self.plan.block
        k_GNBD = tokens.k_GTD.unflatten(1, (-1, block))
        mass_GNB = tokens.mass_GT.reshape(heads, -1, block)
        return {
            "k": k_GNBD,
            "v": tokens.v_GTE.unflatten(1, (-1, block)),
            **self.plan.index.rows(k_GNBD, mass_GNB),
        }

    @property
    def _is_dense(self) -> bool:
        return self.seen <= self.plan.dense

    def _near(self, q_HTD: Tensor) -> _Segment:
        """The recent tokens at their true distances."""
        recent = self.recent.tokens
        keys, queries = recent.length, q_HTD.shape[1]
        at_S = torch.arange(keys, device=q_HTD.device)
        distance_TS = at_S[keys - queries :, None] - at_S
        mask_TS = distance_TS >= 0
        if not self._is_dense and self.plan.positions.beyond != "near":
            mask_TS &= distance_TS < self.plan.window
        folding = Folding(q_HTD.shape[0], self.facts.kv_heads, queries)
        q_NMD = folding.fold(self._rotate(q_HTD, at_S[keys - queries :]))
        return _Segment(
            folding,
            q_NMD,
            self._rotate(recent.k_GTD, at_S),
            recent.v_GTE,
            None if queries == 1 and bool(mask_TS.all()) else mask_TS,
            (at_S + self.base).expand(self.facts.kv_heads, -1),
        )

    def _far(self, q_HTD: Tensor, scoring: Scoring) -> Iterator[_Segment]:
        """Fetched blocks, then the sinks and what is between blocks and window, at the method's positions."""
        if self._is_dense:
            return
        at_T = torch.arange(self.seen - q_HTD.shape[1], self.seen, device=q_HTD.device)
        far = len(self.sinks)
        for fetched in self._recall(q_HTD, at_T, scoring):
            folding = Folding(q_HTD.shape[0], self.facts.kv_heads, q_HTD.shape[1], fetched.per_head, fetched.per_token)
            keys = fetched.k_NSD.shape[1]
            position_NS = self._places(fetched.rows_NX)
            slot_S = torch.arange(len(self.sinks), len(self.sinks) + keys, device=q_HTD.device)
            far = max(far, len(self.sinks) + keys)
            q_NMD = folding.fold(self._far_queries(q_HTD, at_T, far))
            k_NSD = self._rotate(fetched.k_NSD, self.plan.positions.keys(slot_S, position_NS))
            yield _Segment(folding, q_NMD, k_NSD, fetched.v_NSE, None, position_NS)
        yield from self._edges(q_HTD, at_T, far)

    def _edges(self, q_HTD: Tensor, at_T: Tensor, far: int) -> Iterator[_Segment]:
        """The sinks and, where the method meets them as far keys, tokens that left the window but are in no block."""
        older = len(self.recent) - self.plan.window if self.plan.positions.beyond == "far" else 0
        kept = [self.sinks.tokens, self.recent.tokens.part(0, max(0, older))]
        k_GSD = torch.cat([tokens.k_GTD for tokens in kept], dim=1)
        if k_GSD.shape[1] == 0:
            return
        place_S = torch.cat(
            [torch.arange(start, start + part.length) for start, part in zip((0, self.base), kept, strict=True)]
        ).to(at_T.device)
        mask_TS = (place_S < self.plan.sinks) | (at_T[:, None] - place_S >= self.plan.window)
        folding = Folding(q_HTD.shape[0], self.facts.kv_heads, q_HTD.shape[1])
        slot_S = torch.arange(k_GSD.shape[1], device=q_HTD.device)
        yield _Segment(
            folding,
            folding.fold(self._far_queries(q_HTD, at_T, far)),
            self._rotate(k_GSD, self.plan.positions.keys(slot_S, place_S)),
            torch.cat([tokens.v_GTE for tokens in kept], dim=1),
            None if bool(mask_TS.all()) else mask_TS,
            place_S.expand(self.facts.kv_heads, -1),
        )

    def _recall(self, q_HTD: Tensor, at_T: Tensor, scoring: Scoring) -> Iterator:  # type: ignore[type-arg]
        if self.arena is None or self.arena.length == 0 or not self.plan.select.recalls:
            return
        probe_HTD = self._rotate(q_HTD, at_T.clamp(max=self.plan.window))
        search = Search(probe_HTD, self.facts.kv_heads, scoring, self.arena, self.plan.block, self.answering)
        for fetched in self.plan.select.segments(search):
            self.fetched += fetched.rows_NX.unique().numel() * self.plan.block
            yield fetched

    def _far_queries(self, q_HTD: Tensor, at_T: Tensor, far: int) -> Tensor:
        reach = self.recent.capacity if self.plan.positions.beyond == "near" else self.plan.window
        return self._rotate(q_HTD, self.plan.positions.queries(at_T, far, reach))

    def _places(self, rows_NX: Tensor) -> Tensor:
        """Where the tokens of blocks stand in the text: `[N, X]` to `[N, X * B]`."""
        offset_B = torch.arange(self.plan.block, device=rows_NX.device)
        return (self.plan.sinks + rows_NX[:, :, None] * self.plan.block + offset_B).flatten(1)

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        return x if self.rope is None else self.rope.rotate(x, positions)

    def _add_mass(self, near: _Segment, lse_HT: Tensor, scoring: Scoring) -> None:
        """Add to every recent token the attention that it received from queries whose local window it is in."""
        lse_NM = near.folding.fold(lse_HT.unsqueeze(-1)).squeeze(-1)
        weights_GMS = attention_weights(near.q_NMD, near.k_NSD, lse_NM, scoring, near.mask_MS)
        self.recent.tokens.mass_GT.add_(weights_GMS.sum(1))

    def _note(self, watch: Watch, segment: _Segment, scoring: Scoring) -> None:
        """Show the watch what the chunk's last query attends to in a segment."""
        folding = segment.folding
        mask_1S = None if segment.mask_TS is None else segment.mask_TS[-1:]
        logits_NRS = scoring.logits(folding.last_rows(segment.q_NMD), folding.last_searches(segment.k_NSD), mask_1S)
        position_NRS = folding.last_searches(segment.position_NS).unsqueeze(1).expand_as(logits_NRS)
        watch.note(logits_NRS.flatten(0, 1), position_NRS.flatten(0, 1))
