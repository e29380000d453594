"""The memory of one layer: it takes in a chunk's keys and values and answers the chunk's queries.

Every token is in exactly one place: the sinks (first tokens), the arena (blocks), the recent tokens, or dropped.
It knows the parts of a method by their interfaces only, and nothing of text or of other layers.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches or blocks, R query heads of a search,
B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, LayerFacts
from farspan.attention.kernels import Partial, Scoring, merge, partial_attention, weighted_attention
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import Rows, row_bytes
from farspan.cache.recent import Recent, Tokens
from farspan.engine.allocation import block_shape
from farspan.engine.segments import Scene, Segment
from farspan.engine.watch import Watch
from farspan.methods.parts.axes import Surroundings
from farspan.methods.parts.method import Plan

_MERGE_EVERY = 8
_CARRIED = "carried."


class _Before(NamedTuple):
    """What a chunk changes beside adding tokens, as it was before."""

    seen: int
    fetched: int
    mass_GT: Tensor | None
    carried: dict[str, Tensor]
    energy_GTD: Tensor


class LayerMemory:
    """One layer of a session. `prepare`, `settle` and `attend` are called in this order for every chunk.

    `rope`, `answering` and `watch` are set by the owner before a chunk. `arenas` are "blocks", where there is a store,
    and "index", where something stands for a block. `carried` is what the method's selection hands on to the next
    chunk; `energy_GTD` holds the squares of the last queries, where the codec looks at them.
    """

    def __init__(self, facts: LayerFacts, plan: Plan, capacity: int, arenas: dict[str, Arena], like: Tensor) -> None:
        self.facts = facts
        self.plan = plan
        self.arenas = arenas
        self.arena, self.index = arenas.get("blocks"), arenas.get("index")
        self.carried: dict[str, Tensor] = {}
        self.rope: Rope | None = None
        self.answering = False
        self.watch: Watch | None = None
        self.shape = block_shape(facts, plan, like.dtype)
        self.seen = self.dropped = self.fetched = 0
        self._before: _Before | None = None
        self.sinks = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, max(1, plan.sinks), like.dtype, like.device)
        self.recent = Recent(facts.kv_heads, facts.key_dim, facts.value_dim, capacity, like.dtype, like.device)
        self.energy_GTD = like.new_empty((facts.kv_heads, 0, facts.key_dim), dtype=torch.float32)

    def prepare(self, tokens: int, mark_S: Tensor | None = None) -> None:
        """Make sure that lower tiers take what must leave before `tokens` more; raises StorageFull, changes nothing.

        `mark_S` says which of the recent tokens begin a block, where the method looks at that.
        """
        _, blocks, _ = self._leaving(tokens, mark_S)
        if blocks and self.arena is not None:
            self.arena.prepare(sum(blocks) // self.plan.block)
        if blocks and self.index is not None:
            self.index.prepare(len(blocks))

    def settle(self, tokens: int, mark_S: Tensor | None = None) -> None:
        """Move what must leave the recent tokens before `tokens` more: to the sinks, into blocks, or away."""
        sinks, blocks, dropped = self._leaving(tokens, mark_S)
        if sinks:
            self.sinks.append(*self.recent.take(sinks))
        if blocks and self.arena is not None:
            taken = self.recent.take(sum(blocks))
            if self.index is not None:
                self.index.append(self._index_rows(taken, blocks, self.arena.length))
            self.arena.append(self._as_rows(taken))
        if dropped:
            self.recent.take(dropped)
            self.dropped += dropped

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in un-rotated keys and values and answer the un-rotated queries: `[H, T, E]` in the queries' dtype."""
        mass_GT = self.recent.tokens.mass_GT.clone() if self.plan.index.needs_mass else None
        self._before = _Before(self.seen, self.fetched, mass_GT, dict(self.carried), self.energy_GTD)
        self.recent.append(k_GTD, v_GTD)
        self.seen += k_GTD.shape[1]
        q_HTD = self._sharpened(q_HTD)
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
        self._note_queries(q_HTD)
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
        return self.facts.sliding_window is not None or self.plan.keeps_attention(self.seen)

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
        for arena in self.arenas.values():
            for tier, rows in arena.rows_in().items():
                amounts[tier] += rows * row_bytes(arena.columns)
        return amounts

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values, and the sinks and recent tokens; the blocks are in the arenas' files."""
        plain: dict[str, Any] = {"seen": self.seen, "dropped": self.dropped, "fetched": self.fetched}
        plain["arenas"] = {
            name: {"first": arena.first, "rows": arena.length, "lost_rows": arena.dropped}
            for name, arena in self.arenas.items()
        }
        held = {"sinks": self.sinks.tokens, "recent": self.recent.tokens}
        tensors = {f"{name}.{field}": value for name, part in held.items() for field, value in part._asdict().items()}
        tensors |= {f"{_CARRIED}{name}": value for name, value in self.carried.items()}
        return plain, tensors | ({"energy_GTD": self.energy_GTD} if self.plan.codec.queries else {})

    def load_state(self, plain: Mapping[str, Any], tensors: Mapping[str, Tensor], prefix: str) -> None:
        """Continue from what `state_dict` gave, its names behind `prefix`."""
        self.seen, self.dropped, self.fetched = plain["seen"], plain["dropped"], plain["fetched"]
        self.carried = under(tensors, f"{prefix}{_CARRIED}")
        if self.plan.codec.queries:
            self.energy_GTD = tensors[f"{prefix}energy_GTD"].to(self.energy_GTD.device)
        for name, queue in (("sinks", self.sinks), ("recent", self.recent)):
            queue.append(*(tensors[f"{prefix}{name}.{field}"] for field in Tokens._fields))

    def copy_from(self, other: LayerMemory) -> None:
        """Begin where another layer stands; its blocks are shared through the arenas."""
        self.seen, self.dropped, self.fetched = other.seen, other.dropped, other.fetched
        self.carried = dict(other.carried)
        self.energy_GTD = other.energy_GTD
        self.sinks.append(*other.sinks.tokens)
        self.recent.append(*other.recent.tokens)

    def undo(self, seen: int) -> None:
        """Take back the chunk that was begun when `seen` tokens had been seen, if this layer took it in."""
        if self.seen == seen or self._before is None:
            return
        self.recent.drop_last(self.seen - seen)
        self.seen, self.fetched = self._before.seen, self._before.fetched
        self.carried, self.energy_GTD = self._before.carried, self._before.energy_GTD
        if self._before.mass_GT is not None:
            self.recent.tokens.mass_GT.copy_(self._before.mass_GT)

    def _leaving(self, tokens: int, mark_S: Tensor | None) -> tuple[int, list[int], int]:
        """What must leave the recent tokens before `tokens` more: tokens to the sinks, blocks, tokens dropped."""
        if self.seen + tokens <= self.plan.dense:
            return 0, [], 0
        aged = max(0, len(self.recent) - self.plan.window)
        sinks = min(self.plan.sinks - len(self.sinks), aged)
        if not self.plan.keep.stores:
            return sinks, [], aged - sinks
        return sinks, self.plan.segment.cut(aged - sinks, None if mark_S is None else mark_S[sinks:]), 0

    def _as_rows(self, tokens: Tokens) -> Rows:
        block = self.plan.block
        k_GNBD, v_GNBE = tokens.k_GTD.unflatten(1, (-1, block)), tokens.v_GTE.unflatten(1, (-1, block))
        return self.plan.codec.encode(k_GNBD, v_GNBE, Surroundings(self.energy_GTD, self.rope))

    def _index_rows(self, tokens: Tokens, blocks: list[int], start: int) -> Rows:
        """What stands for new blocks, the first of which will begin in row `start`."""
        assert self.index is not None
        length_N = torch.tensor(blocks, device=tokens.k_GTD.device)
        begin_N = length_N.cumsum(0) - length_N
        within_B = torch.arange(max(blocks), device=length_N.device)
        at_NB = (begin_N[:, None] + within_B).clamp(max=tokens.length - 1)
        rows = self.plan.index.rows(tokens.k_GTD[:, at_NB], tokens.mass_GT[:, at_NB], length_N)
        places = {"start": (start + begin_N // self.plan.block)[None], "length": length_N[None]}
        return {column.name: {**rows, **places}[column.name] for column in self.index.columns}

    def _sharpened(self, q_HTD: Tensor) -> Tensor:
        """Queries whose logits are to be larger, the more tokens they meet."""
        if not self.plan.turns_otherwise(self.seen):
            return q_HTD
        met_T = torch.arange(self.seen - q_HTD.shape[1], self.seen, device=q_HTD.device) + 1
        if not self.plan.select.needs_all:
            met_T = met_T.clamp(max=self.plan.dense)
        scale_T = self.plan.frequencies.sharpness(self.facts.index, met_T)
        return q_HTD if scale_T is None else (q_HTD * scale_T[:, None]).to(q_HTD.dtype)

    def _scene(self, q_HTD: Tensor, scoring: Scoring) -> Scene:
        return Scene(
            plan=self.plan,
            shape=self.shape,
            rope=self.rope,
            sinks=self.sinks.tokens,
            recent=self.recent.tokens,
            seen=self.seen,
            arena=self.arena,
            index=self.index,
            carried=self.carried,
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

    def _note_queries(self, q_HTD: Tensor) -> None:
        """Remember the squares of the last queries, where the codec looks at them."""
        last = self.plan.codec.queries
        if last:
            new_GTD = q_HTD[:, -last:].float().square().unflatten(0, (self.facts.kv_heads, -1)).mean(1)
            self.energy_GTD = torch.cat((self.energy_GTD, new_GTD), dim=1)[:, -last:].contiguous()

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


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
