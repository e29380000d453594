"""The memory of one layer: it takes in a chunk's keys and values and answers the chunk's queries.

Every token is in exactly one place: the sinks (first tokens), the arena (blocks), the recent tokens, or dropped.
It knows the parts of a method by their interfaces only, and nothing of text or of other layers.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches or blocks, R query heads of a search,
B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, LayerFacts
from farspan.attention.kernels import Partial, Scoring, merge, partial_attention, weighted_attention
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import Rows, row_bytes
from farspan.cache.recent import Recent, Tokens
from farspan.engine.segments import Scene, Segment
from farspan.engine.watch import Watch
from farspan.methods.parts.method import Plan

_MERGE_EVERY = 8


class _Before(NamedTuple):
    """What a chunk changes beside adding tokens, as it was before."""

    seen: int
    fetched: int
    mass_GT: Tensor | None


class LayerMemory:
    """One layer of a session. `prepare`, `settle` and `attend` are called in this order for every chunk.

    `rope`, `answering` and `watch` are set by the owner before a chunk.
    """

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
        mass_GT = self.recent.tokens.mass_GT.clone() if self.plan.index.needs_mass else None
        self._before = _Before(self.seen, self.fetched, mass_GT)
        self.recent.append(k_GTD, v_GTD)
        self.seen += k_GTD.shape[1]
        scene = self._scene(q_HTD, Scoring(call.scaling, call.softcap))
        near = scene.near()
        near_part, weights_GMS = self._near_part(near, scene.scoring)
        parts = [self._unfolded(near, near_part)]
        self._note(near, scene.scoring)
        for segment in scene.far():
            part = partial_attention(segment.q_NMD, segment.k_NSD, segment.v_NSE, scene.scoring, segment.mask_MS)
            parts.append(self._unfolded(segment, part))
            self._note(segment, scene.scoring)
            if len(parts) == _MERGE_EVERY:
                parts = [merge(parts)]
        sink_HT = None if call.sinks_H is None else call.sinks_H[:, None].expand(q_HTD.shape[:2])
        out_HTE, lse_HT = merge(parts, sink_HT)
        if self.watch is not None:
            self.watch.close(lse_HT[:, -1])
        if weights_GMS is not None:
            share_NM = torch.exp(near_part.lse_NM - near.folding.fold(lse_HT.unsqueeze(-1)).squeeze(-1))
            self.recent.tokens.mass_GT.add_(torch.einsum("nm,nms->ns", share_NM, weights_GMS))
        return out_HTE.to(q_HTD.dtype)

    @property
    def exact(self) -> bool:
        """Whether this layer has computed what full attention would."""
        slides = self.facts.sliding_window is not None
        return slides or self.seen <= self.plan.dense or self.plan.select.needs_all

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

    def _leaving(self, tokens: int) -> tuple[int, int, int]:
        """What must leave the recent tokens before `tokens` more: tokens to the sinks, blocks, tokens dropped."""
        if self.seen + tokens <= self.plan.dense:
            return 0, 0, 0
        aged = max(0, len(self.recent) - self.plan.window)
        sinks = min(self.plan.sinks - len(self.sinks), aged)
        blocks = (aged - sinks) // self.plan.block if self.plan.keep.stores else 0
        return sinks, blocks, 0 if self.plan.keep.stores else aged - sinks

    def _as_rows(self, tokens: Tokens) -> Rows:
        block = self.plan.block
        k_GNBD = tokens.k_GTD.unflatten(1, (-1, block))
        mass_GNB = tokens.mass_GT.unflatten(1, (-1, block))
        v_GNBE = tokens.v_GTE.unflatten(1, (-1, block))
        return {"k": k_GNBD, "v": v_GNBE, **self.plan.index.rows(k_GNBD, mass_GNB)}

    def _scene(self, q_HTD: Tensor, scoring: Scoring) -> Scene:
        return Scene(
            plan=self.plan,
            rope=self.rope,
            sinks=self.sinks.tokens,
            recent=self.recent.tokens,
            seen=self.seen,
            arena=self.arena,
            answering=self.answering,
            q_HTD=q_HTD,
            scoring=scoring,
        )

    def _near_part(self, near: Segment, scoring: Scoring) -> tuple[Partial, Tensor | None]:
        """Attention to the recent tokens, with its weights where the index wants them."""
        call = (near.q_NMD, near.k_NSD, near.v_NSE, scoring, near.mask_MS)
        return weighted_attention(*call) if self.plan.index.needs_mass else (partial_attention(*call), None)

    def _unfolded(self, segment: Segment, part: Partial) -> Partial:
        return Partial(segment.folding.unfold(part.out_NME), segment.folding.unfold(part.lse_NM))

    def _note(self, segment: Segment, scoring: Scoring) -> None:
        """Count what was fetched, each block once, and show the watch what the chunk's last query attends to."""
        if segment.rows_NX is not None:
            self.fetched += segment.rows_NX.unique().numel() * self.plan.block
        if self.watch is None:
            return
        folding = segment.folding
        mask_1S = None if segment.mask_TS is None else segment.mask_TS[-1:]
        logits_NRS = scoring.logits(folding.last_rows(segment.q_NMD), folding.last_searches(segment.k_NSD), mask_1S)
        position_NRS = folding.last_searches(segment.position_NS).unsqueeze(1).expand_as(logits_NRS)
        self.watch.note(logits_NRS.flatten(0, 1), position_NRS.flatten(0, 1))
