"""The memory of one layer: it takes in a chunk's keys and values and answers the chunk's queries.

Every token is in exactly one place: the sinks (first tokens), the arena (blocks), the pool (tokens found worth
keeping), the recent tokens, or dropped.
It knows the parts of a method by their interfaces only, and nothing of text; of other layers, what their selection
hands on.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches or blocks, R query heads of a search,
B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall
from farspan.attention.facts import LayerFacts
from farspan.attention.rope import Rope
from farspan.attention.softmax import Scoring
from farspan.cache.arena import Arena
from farspan.cache.recent import Recent, Tokens
from farspan.engine.allocation import block_shape, note_columns
from farspan.engine.attending import Attending
from farspan.engine.highlight import Highlight
from farspan.engine.layer_state import plain_state, restore, tensor_state, under
from farspan.engine.once import Once
from farspan.engine.pool import Aging, PoolMemory
from farspan.engine.scene import Scene
from farspan.engine.segments import Segment
from farspan.engine.storing import Leaving, Stored, store
from farspan.engine.watch import Watch
from farspan.methods.parts.importance.base import Importance
from farspan.methods.parts.notes import Notes, Noting
from farspan.methods.parts.plan import Plan


class _Before(NamedTuple):
    """What a chunk changes beside adding tokens, as it was before."""

    seen: int
    fetched: int
    masses: tuple[Tensor, ...]
    carried: dict[str, Tensor]
    notes: Notes


class Told(NamedTuple):
    """What the owner knows of the recent tokens: which begin a block, and how much each surprised the model."""

    mark_S: Tensor
    surprise_S: Tensor


class LayerMemory:
    """One layer of a session, or those of its KV heads that are kept alike.

    `prepare`, `settle` and `attend` are called in this order for every chunk.

    `rope`, `answering`, `watch`, `highlight` and `once` are set by the owner before a chunk. `arenas` are "blocks",
    where there is a store, and "index", where something stands for a block. `carried` is what the method's selection
    hands on to the next chunk, one and the same dict for ever, and `peers` are those of all layers of the same plan.
    `notes` is what the parts of the plan remember of the layer. `whole` is false once tokens were lost on their way.
    """

    def __init__(
        self,
        facts: LayerFacts,
        heads: tuple[int, ...],
        plan: Plan,
        capacity: int,
        arenas: dict[str, Arena],
        like: Tensor,
    ) -> None:
        self.facts = facts
        self.heads = heads
        self.plan = plan
        self.arenas = arenas
        self.arena, self.index = arenas.get("blocks"), arenas.get("index")
        self.carried: dict[str, Tensor] = {}
        self.sink_logits_H: Tensor | None = None
        self.peers: Sequence[Mapping[str, Tensor]] = (self.carried,)
        self.rope: Rope | None = None
        self.answering = False
        self.watch: Watch | None = None
        self.highlight: Highlight | None = None
        self.once = Once()
        self.shape = block_shape(facts, plan, like.dtype)
        self.seen = self.dropped = self.fetched = 0
        self.whole = True
        self._before: _Before | None = None
        self.sinks = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, max(1, plan.sinks), like.dtype, like.device)
        widths = facts.kv_heads, facts.key_dim, facts.value_dim, capacity
        self.recent = Recent(*widths, like.dtype, like.device, facts.q_heads if plan.index.needs_queries else 0)
        self.notes: Notes = {
            column.name: like.new_zeros((column.heads, *column.shape), dtype=column.dtype)
            for column in note_columns(plan, self.shape)
        }
        self.pool = None if plan.pool is None else PoolMemory(facts, plan.pool.by, like)

    def prepare(self, tokens: int, told: Told | None = None) -> None:
        """Make sure that lower tiers take what must leave before `tokens` more; raises StorageFull, changes nothing.

        `told` is of the recent tokens, where the method looks at that.
        """
        _, blocks, _ = self._leaving(tokens, told)
        if blocks and self.arena is not None:
            self.arena.prepare(sum(blocks) // self.plan.block)
        if blocks and self.index is not None:
            self.index.prepare(len(blocks))

    def settle(self, tokens: int, told: Told | None = None) -> None:
        """Move what must leave the recent tokens before `tokens` more: to sinks or pool, into blocks, or away."""
        sinks, blocks, dropped = self._leaving(tokens, told)
        if self.pool is not None:
            self._choose(self.pool, sinks, dropped, told)
            return
        stored = self._stored(self.recent.tokens.part(sinks, sinks + sum(blocks)), blocks) if blocks else None
        self.whole = False
        if sinks:
            self.sinks.append(*self.recent.take(sinks))
        if stored is not None:
            self.recent.take(sum(blocks))
            self.notes = stored.notes
            for name, new in stored.rows.items():
                self.arenas[name].append(new)
        if dropped:
            self.recent.take(dropped)
            self.dropped += dropped
        self.whole = True

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in un-rotated keys and values and answer the un-rotated queries: `[H, T, E]` in the queries' dtype."""
        masses = tuple(mass_GS.clone() for mass_GS in self._growing)
        self._before = _Before(self.seen, self.fetched, masses, dict(self.carried), self.notes)
        if self.arena is not None:
            self.arena.begin()
        self.recent.append(k_GTD, v_GTD, q_HTD=q_HTD)
        self.sink_logits_H = call.sinks_H
        self.seen += k_GTD.shape[1]
        sharp_HTD = self.plan.sharpened(q_HTD, self.facts.index, self.seen)
        scene = self._scene(sharp_HTD, Scoring(call.scaling, call.softcap), self.recent.tokens, self.plan.weighs)
        attending = Attending(scene, self._note, watched=self.watch is not None)
        out_HTE, lse_HT = attending.run(call.sinks_H)
        self._note_queries(sharp_HTD)
        if self.watch is not None:
            self.watch.note(attending.strongest, lse_HT[:, -1])
        return out_HTE.to(q_HTD.dtype)

    @property
    def exact(self) -> bool:
        """Whether this layer has computed what full attention would."""
        return self.facts.sliding_window is not None or self.plan.keeps_attention(self.seen)

    def stored(self) -> int:
        """Tokens in tiers below the device."""
        rows = {} if self.arena is None else self.arena.rows_in()
        return (rows.get("host", 0) + rows.get("disk", 0)) * self.plan.block

    def lost(self) -> int:
        """Tokens that are nowhere any more."""
        return self.dropped + (0 if self.arena is None else self.arena.dropped * self.plan.block)

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values, and all that is in no arena; the blocks are in the arenas' files."""
        return plain_state(self), tensor_state(self)

    def load_state(self, plain: Mapping[str, Any], tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Continue from what `state_dict` gave, its names behind `prefix`."""
        restore(self, plain, under(tensors, prefix))

    def copy_from(self, other: LayerMemory) -> None:
        """Begin where another layer stands; its blocks are shared through the arenas."""
        restore(self, plain_state(other), tensor_state(other))

    def end_turn(self) -> None:
        """What the pool keeps is worth less from now on, by as much as the method says."""
        if self.pool is not None:
            self.pool.decay()

    def undo(self, seen: int) -> None:
        """Take back the chunk that was begun when `seen` tokens had been seen, if this layer took it in."""
        if self.seen == seen or self._before is None:
            return
        self.recent.drop_last(self.seen - seen)
        self.seen, self.fetched = self._before.seen, self._before.fetched
        self.notes = self._before.notes
        self.carried.clear()
        self.carried.update(self._before.carried)
        for mass_GS, before_GS in zip(self._growing, self._before.masses, strict=True):
            mass_GS.copy_(before_GS)

    def _leaving(self, tokens: int, told: Told | None) -> tuple[int, list[int], int]:
        """What must leave the recent tokens before `tokens` more: tokens to the sinks, blocks, other tokens."""
        pool = self.plan.pool
        roomy = pool is not None and self._on_device <= pool.limit - pool.chunk
        if roomy or self.seen + tokens <= self.plan.dense:
            return 0, [], 0
        aged = max(0, len(self.recent) - self.plan.window)
        sinks = min(self.plan.sinks - len(self.sinks), aged)
        if not self.plan.keep.stores:
            return sinks, [], aged - sinks
        return sinks, self.plan.segment.cut(aged - sinks, None if told is None else told.mark_S[sinks:]), 0

    @property
    def _on_device(self) -> int:
        """Tokens that are in no block."""
        return len(self.sinks) + len(self.recent) + (0 if self.pool is None else len(self.pool))

    @property
    def _growing(self) -> list[Tensor]:
        """The masses that a chunk's attention adds to, apart from those of its own tokens."""
        if not self.plan.weighs:
            return []
        return [self.recent.tokens.mass_GT, *(() if self.pool is None else (self.pool.held.tokens.mass_GT,))]

    def _choose(self, pool: PoolMemory, sinks: int, leaving: int, told: Told | None) -> None:
        """Let recent tokens come to the sinks and to the pool, and drop those that are worth least."""
        plan = self.plan.pool
        if plan is None or not sinks + leaving:
            return
        recent = self.recent.tokens._replace(mass_GT=self._masses(pool, plan.by, told))
        first = len(self.sinks) + sinks
        self.whole = False
        self.dropped += pool.age(
            self.plan, Aging(recent, sinks, leaving, first, self.seen), self.notes, self.rope, self.facts.scaling
        )
        self.sinks.append(*recent.part(0, sinks))
        self.recent.take(sinks + leaving)
        if self.recent.capacity > plan.room + self.plan.window:
            self.recent = self.recent.shrunk(plan.room + self.plan.window)
        self.whole = True

    def _masses(self, pool: PoolMemory, by: Importance, told: Told | None) -> Tensor:
        """The mass of the recent tokens `[G, S]` when some of them go; that of the pool is brought up to date."""
        recent = self.recent.tokens
        if by.surprise:
            assert told is not None
            return told.surprise_S.to(recent.mass_GT.device).expand_as(recent.mass_GT)
        q_HTD = by.queries(self.notes)
        if q_HTD is not None:
            recent = recent._replace(mass_GT=torch.zeros_like(recent.mass_GT))
            pool.held.tokens.mass_GT.zero_()
            scoring = Scoring(self.facts.scaling, self.facts.softcap)
            Attending(self._scene(q_HTD, scoring, recent, weighs=True), lambda segment: None).run(self.sink_logits_H)
        return recent.mass_GT

    def _stored(self, leaving: Tokens, blocks: list[int]) -> Stored:
        at_hand = self.sinks.tokens.k_GTD, self.recent.tokens.k_GTD
        return store(Leaving(leaving, blocks, at_hand), self.plan, self.arenas, self.notes, self.rope)

    def _scene(self, q_HTD: Tensor, scoring: Scoring, recent: Tokens, weighs: bool) -> Scene:
        return Scene(
            plan=self.plan,
            shape=self.shape,
            rope=self.rope,
            sinks=self.sinks.tokens,
            pool=None if self.pool is None else self.pool.held,
            recent=recent,
            seen=self.seen,
            arena=self.arena,
            index=self.index,
            carried=self.carried,
            notes=self.notes,
            peers=self.peers,
            answering=self.answering,
            q_HTD=q_HTD,
            scoring=scoring,
            weighs=weighs,
            once=self.once,
            focus=None if self.highlight is None else self.highlight.in_layer(self.plan, self.facts, self.heads),
            layer=self.facts.index,
        )

    def _note_queries(self, q_HTD: Tensor) -> None:
        """What the parts remember of the queries."""
        parts: list[Noting] = [self.plan.codec, self.plan.index]
        parts += [] if self.plan.pool is None else [self.plan.pool.by]
        for part in parts:
            self.notes = {**self.notes, **part.after_queries(self.notes, q_HTD)}

    def _note(self, segment: Segment) -> None:
        """Count what was fetched, each block once; a search has each of its blocks once."""
        rows = segment.met_rows
        if rows is not None:
            alike = rows.dim() == 2 and rows.stride(0) == 0
            self.fetched += (rows.shape[1] if alike else rows.unique().numel()) * self.plan.block
