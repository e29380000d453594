"""How a budget in bytes becomes rows and tokens of each layer: as many tokens in blocks for every layer.

What stays whatever happens (sinks, recent tokens) is paid first; what is left of device and host goes to blocks and,
once the device is full, a part of it to those that are fetched from lower tiers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple, Protocol, TypeVar

import torch

from farspan.attention.facts import LayerFacts
from farspan.cache.arena import TierRows
from farspan.cache.columns import BlockShape, Column, row_bytes
from farspan.cache.recent import Recent
from farspan.cache.ring import FIRST_ROWS
from farspan.engine.machine import memory_of
from farspan.errors import BudgetError
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.frequencies.trained import TrainedFrequencies
from farspan.methods.parts.index.none import NoIndex
from farspan.methods.parts.keep.sinks_and_window import SinksAndWindow
from farspan.methods.parts.plan import HeadsPlan, Plan
from farspan.methods.parts.positions.true import TruePositions
from farspan.methods.parts.select.nothing import Nothing
from farspan.types import Budget, Size, format_bytes

_STEPS = 1024
_FETCHED = Fraction(1, 4)


class _OfLayer(Protocol):
    @property
    def facts(self) -> LayerFacts: ...


H = TypeVar("H", bound=_OfLayer)


class Share(NamedTuple):
    """What an arena gets: its columns, rows by tier, and the rows that a fork may hold of its own."""

    columns: tuple[Column, ...]
    tiers: TierRows
    fork: TierRows


class Holder(NamedTuple):
    """KV heads of one layer that are kept alike: all of them, unless the method tells heads apart.

    `facts` are the layer's, with these heads only.
    """

    facts: LayerFacts
    heads: tuple[int, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class LayerShare:
    """What one holder gets: room for recent tokens, and what each of its arenas gets."""

    holder: Holder
    capacity: int
    arenas: dict[str, Share]


class Allocator:
    """Shares a budget among the layers of a model; `plans` has those of every layer."""

    def __init__(
        self,
        facts: Sequence[LayerFacts],
        plans: Sequence[Sequence[HeadsPlan]],
        chunk: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        bytes_per_token: int,
    ) -> None:
        self._holders = [one for layer, own in zip(facts, plans, strict=True) for one in _holders(layer, own)]
        self._chunk = chunk
        self._dtype = dtype
        self._device = device
        self._bytes_per_token = bytes_per_token

    def share(self, budget: Budget) -> list[LayerShare]:
        """Share out a budget. Raises BudgetError, with the least that would do, when it is too small."""
        room = self._bytes(budget.device)
        host = self._bytes(budget.host)
        if self._device.type == "cpu" and room is not None:
            room, host = (None if host is None else room + host), 0
        holders = self._that_fit(room)
        self._check_machine(holders)
        spare = None if room is None else room - self._least(holders)
        tiers = (self._rows(holders, amount) for amount in (spare, host, self._bytes(budget.disk)))
        shares = [self._share(one, *rows) for one, *rows in zip(holders, *tiers, strict=True)]
        self._check_disk(budget, shares)
        return shares

    def _that_fit(self, room: int | None) -> list[Holder]:
        """The holders as they wish to be or, where that is too much, with less: a shorter dense stretch, then pools."""
        if room is None or self._least(self._holders) <= room:
            return self._holders
        most = room // (sum(self._token_bytes(one.facts) for one in self._holders if one.plan.pool is not None) or 1)
        steps = range(1, _STEPS + 1)
        fitting = bisect_right(steps, room, key=lambda step: math.ceil(self._least(self._smaller(step, most))))
        short = self._smaller(max(1, fitting), most)
        if self._least(short) <= room:
            return short
        least = math.ceil(self._least(short))
        widest = max((one.plan for one in governed(short)), key=lambda plan: plan.sinks + plan.window)
        raise BudgetError(
            f"a budget of {format_bytes(room)} is too small: {format_bytes(least)} is the least for "
            f"{widest.sinks} first and {widest.window} recent tokens and a chunk of {self._chunk}",
            fix=f"give at least --budget {-(-least // 2**20)}MiB, or a method with a smaller window",
        )

    def _check_machine(self, holders: Sequence[Holder]) -> None:
        """Raise BudgetError where the machine has not got what is taken before anything is read, whatever was given."""
        needed = sum((self._noted(one) + FIRST_ROWS * self._row_bytes(one) for one in holders), Fraction())
        there = memory_of(self._device)
        if needed > there:
            raise BudgetError(
                f"this method takes {format_bytes(math.ceil(needed))} before anything is read, and the machine has "
                f"{format_bytes(there)}",
                fix="give smaller numbers to its keywords",
            )

    def _check_disk(self, budget: Budget, shares: Sequence[LayerShare]) -> None:
        """Raise BudgetError for a disk tier that is to be there and cannot hold a block of every layer."""
        arenas = [arena for share in shares for arena in share.arenas.values()]
        if budget.has_disk and any(arena.tiers.disk == 0 for arena in arenas):
            least = format_bytes(sum(row_bytes(arena.columns) for arena in arenas))
            raise BudgetError(f"disk={budget.disk} is too small: a block of every layer takes {least}", fix="give more")

    def _smaller(self, step: int, most: int) -> list[Holder]:
        """The holders with plans that attend to everything only while they must, and with so much of their pools, or
        of `most` tokens where that is less, or so much at hand where that makes no difference.
        """
        return [one._replace(plan=_shorter(one.plan, Fraction(step, _STEPS), most)) for one in self._holders]

    def _share(self, holder: Holder, device: int | None, host: int | None, disk: int | None) -> LayerShare:
        facts, plan = holder.facts, holder.plan
        if not plan.keep.stores:
            return LayerShare(holder, self._capacity(plan), {})
        least = self._least_rows(plan)
        tiers = TierRows(None if device is None else least + device, host, disk)
        fork = TierRows(least, 0, None)
        arenas = {"blocks": Share(self._columns(facts, plan), _with_slots(plan, tiers, device), fork)}
        if columns := _index_columns(facts, plan):
            arenas["index"] = Share(columns, _index_rows(plan, tiers), _index_rows(plan, fork))
        return LayerShare(holder, self._capacity(plan), arenas)

    def _capacity(self, plan: Plan) -> int:
        if plan.pool is not None:
            return max(plan.dense, plan.pool.limit)
        unfinished = plan.segment.lengths[1] - 1 if plan.keep.stores else 0
        return max(plan.dense, plan.window + unfinished + self._chunk)

    def _least(self, holders: Sequence[Holder]) -> Fraction:
        """The fewest bytes that will do: sinks, pool and recent tokens, and the blocks that one step makes.

        The largest pool counts twice: when it is chosen anew the old one is still there.
        """
        fixed = sum(self._fixed(one) for one in holders) + max(self._pool_bytes(one) for one in holders)
        return fixed + sum((self._least_rows(one.plan) * self._row_bytes(one) for one in holders), Fraction())

    def _fixed(self, holder: Holder) -> int:
        """Bytes of sinks, pool and recent tokens, and of notes."""
        facts, plan = holder.facts, holder.plan
        noted = self._noted(holder)
        recent = self._recent_bytes(facts, self._capacity(plan))
        if plan.index.needs_queries:
            noted += Recent.buffer_tokens(self._capacity(plan)) * facts.q_heads * facts.key_dim * self._dtype.itemsize
        if plan.pool is not None:
            later = self._recent_bytes(facts, plan.window + plan.pool.room) + self._pool_bytes(holder)
            recent = max(recent, later)
        return noted + self._recent_bytes(facts, max(1, plan.sinks)) + recent

    def _noted(self, holder: Holder) -> int:
        return row_bytes(note_columns(holder.plan, block_shape(holder.facts, holder.plan, self._dtype)))

    def _recent_bytes(self, facts: LayerFacts, capacity: int) -> int:
        return Recent.buffer_tokens(capacity) * self._token_bytes(facts)

    def _pool_bytes(self, holder: Holder) -> int:
        pool, facts = holder.plan.pool, holder.facts
        return 0 if pool is None else pool.limit * (self._token_bytes(facts) + facts.kv_heads * torch.int64.itemsize)

    def _token_bytes(self, facts: LayerFacts) -> int:
        """Keys, values and a mass in float32."""
        return facts.kv_heads * ((facts.key_dim + facts.value_dim) * self._dtype.itemsize + torch.float32.itemsize)

    def _columns(self, facts: LayerFacts, plan: Plan) -> tuple[Column, ...]:
        return plan.codec.columns(block_shape(facts, plan, self._dtype))

    def _row_bytes(self, holder: Holder) -> Fraction:
        """Bytes that one row takes, with its part of the index."""
        facts, plan = holder.facts, holder.plan
        if not plan.keep.stores:
            return Fraction()
        index = Fraction(row_bytes(_index_columns(facts, plan)) * plan.block, plan.segment.lengths[0])
        return row_bytes(self._columns(facts, plan)) + index

    def _least_rows(self, plan: Plan) -> int:
        """The most rows that one step can add."""
        waiting = plan.segment.lengths[1] - plan.block
        return (max(plan.dense - plan.window - plan.sinks, self._chunk) + waiting) // plan.block + 2

    def _rows(self, holders: Sequence[Holder], room: Fraction | int | None) -> list[int | None]:
        """Rows for every holder that take up `room` together and have the same number of tokens."""
        token = sum((self._row_bytes(one) / one.plan.block for one in holders), Fraction())
        if room is None or token == 0:
            return [None] * len(holders)
        return [int(room / token // one.plan.block) for one in holders]

    def _bytes(self, size: Size | None) -> int | None:
        return None if size is None else size.in_bytes(self._bytes_per_token)


def governed(holders: Sequence[H]) -> Sequence[H]:
    """Those that the method governs; in a model of sliding windows only, all of them."""
    return [one for one in holders if one.facts.sliding_window is None] or holders


def _holders(facts: LayerFacts, plans: Sequence[HeadsPlan]) -> list[Holder]:
    if facts.sliding_window is not None:
        return [Holder(facts, tuple(range(facts.kv_heads)), _window_plan(plans[0].plan, facts.sliding_window))]
    queries = facts.q_heads // facts.kv_heads
    return [
        Holder(replace(facts, q_heads=len(heads) * queries, kv_heads=len(heads)), heads, plan) for heads, plan in plans
    ]


def _shorter(plan: Plan, share: Fraction, most: int) -> Plan:
    """The plan, attending to everything only while sinks and window do, or a pool with `share` of its room; with less
    at hand where that makes no difference.
    """
    if plan.pool is None:
        plan = plan.narrowed(share)
        return replace(plan, dense=min(plan.dense, plan.sinks + plan.window))
    return plan.sized(max(plan.pool.least, int(min(plan.pool.average, most) * share)))


def _index_columns(facts: LayerFacts, plan: Plan) -> tuple[Column, ...]:
    """What stands for a block, and where the block lies if it is not one row."""
    columns = plan.index.columns(facts)
    if not columns or plan.segment.lengths == (plan.block, plan.block):
        return columns
    return (*columns, Column("start", 1, (), torch.int64), Column("length", 1, (), torch.int64))


def _with_slots(plan: Plan, tiers: TierRows, spare: int | None) -> TierRows:
    """The same with slots in some of the spare room of the device, where single blocks are fetched from lower tiers."""
    looks_up = any(plan.select.cadence(answering) is not None for answering in (False, True))
    if spare is None or not looks_up or tiers.host == tiers.disk == 0:
        return tiers
    return replace(tiers, slots=int(spare * _FETCHED))


def _index_rows(plan: Plan, tiers: TierRows) -> TierRows:
    """As many rows of the index as the blocks may be that lie in so many rows."""

    def blocks(rows: int | None) -> int | None:
        return None if rows is None else rows * plan.block // plan.segment.lengths[0]

    return TierRows(blocks(tiers.device), blocks(tiers.host), blocks(tiers.disk))


def block_shape(facts: LayerFacts, plan: Plan, dtype: torch.dtype) -> BlockShape:
    """What a block of a layer holds before it is encoded."""
    group = facts.q_heads // facts.kv_heads
    return BlockShape(facts.kv_heads, plan.block, facts.key_dim, facts.value_dim, dtype, group)


def note_columns(plan: Plan, shape: BlockShape) -> tuple[Column, ...]:
    """What the parts of a plan remember of a layer whose rows are of this shape."""
    parts = (plan.codec, plan.index, *(() if plan.pool is None else (plan.pool.by,)))
    return tuple(column for part in parts for column in part.notes(shape))


def _window_plan(plan: Plan, window: int) -> Plan:
    """How a sliding-window layer is kept: its own window, at true positions and angles, whatever the method."""
    return replace(
        plan,
        keep=SinksAndWindow(0, window),
        positions=TruePositions("hidden"),
        frequencies=TrainedFrequencies(),
        select=Nothing(),
        index=NoIndex(),
        codec=RawBlocks(),
        dense=window,
    )
