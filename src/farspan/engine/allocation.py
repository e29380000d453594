"""How a budget in bytes becomes rows and tokens of each layer: the same for every layer.

What stays whatever happens (sinks, recent tokens) is paid first; what is left of device and host goes to blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from farspan.attention.adapter import LayerFacts
from farspan.cache.arena import TierRows
from farspan.cache.columns import BlockShape, Column, row_bytes
from farspan.cache.recent import Recent
from farspan.errors import BudgetError
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.frequencies.trained import TrainedFrequencies
from farspan.methods.parts.index.none import NoIndex
from farspan.methods.parts.keep.sinks_and_window import SinksAndWindow
from farspan.methods.parts.method import Plan
from farspan.methods.parts.positions.true import TruePositions
from farspan.methods.parts.select.nothing import Nothing
from farspan.types import Budget, Size, format_bytes


class Share(NamedTuple):
    """What an arena gets: its columns, rows by tier, and the rows that a fork may hold of its own."""

    columns: tuple[Column, ...]
    tiers: TierRows
    fork: TierRows


@dataclass(frozen=True, slots=True)
class LayerShare:
    """What one layer gets: its plan, room for recent tokens, and what each of its arenas gets."""

    facts: LayerFacts
    plan: Plan
    capacity: int
    arenas: dict[str, Share]


class Allocator:
    """Shares a budget among the layers of a model."""

    def __init__(
        self,
        facts: Sequence[LayerFacts],
        plan: Plan,
        chunk: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        bytes_per_token: int,
    ) -> None:
        self._facts = facts
        self._plan = plan
        self._chunk = chunk
        self._dtype = dtype
        self._one_memory = device.type == "cpu"
        self._bytes_per_token = bytes_per_token

    def share(self, budget: Budget) -> list[LayerShare]:
        """Share out a budget. Raises BudgetError, with the least that would do, when it is too small."""
        room = self._bytes(budget.device)
        host = self._bytes(budget.host)
        if self._one_memory and room is not None:
            room, host = (None if host is None else room + host), 0
        plan = self._plan_that_fits(room)
        fixed = self._fixed(plan)
        device_rows = self._rows(plan, None if room is None else room - fixed)
        tiers = TierRows(device_rows, self._rows(plan, host), self._rows(plan, self._bytes(budget.disk)))
        return [self._share(facts, plan, tiers) for facts in self._facts]

    def _plan_that_fits(self, room: int | None) -> Plan:
        for dense in (self._plan.dense, self._plan.sinks + self._plan.window):
            plan = replace(self._plan, dense=min(self._plan.dense, dense))
            least = self._fixed(plan) + self._least_rows(plan) * self._all_rows(plan)
            if room is None or least <= room:
                return plan
        assert room is not None
        raise BudgetError(
            f"a budget of {format_bytes(room)} is too small: {format_bytes(least)} is the least for "
            f"{plan.sinks} first and {plan.window} recent tokens and a chunk of {self._chunk}",
            fix=f"give at least --budget {-(-least // 2**20)}MiB, or a method with a smaller window",
        )

    def _share(self, facts: LayerFacts, plan: Plan, tiers: TierRows) -> LayerShare:
        own = _window_plan(plan, facts.sliding_window) if facts.sliding_window is not None else plan
        if not own.keep.stores:
            return LayerShare(facts, own, self._capacity(own), {})
        fork = TierRows(self._least_rows(plan), 0, None)
        arenas = {"blocks": Share(self._columns(facts, plan), tiers, fork)}
        if columns := _index_columns(facts, plan):
            arenas["index"] = Share(columns, _index_rows(plan, tiers), _index_rows(plan, fork))
        return LayerShare(facts, own, self._capacity(own), arenas)

    def _capacity(self, plan: Plan) -> int:
        unfinished = plan.segment.lengths[1] - 1 if plan.keep.stores else 0
        return max(plan.dense, plan.window + unfinished + self._chunk)

    def _fixed(self, plan: Plan) -> int:
        """Bytes of sinks and recent tokens in all layers."""
        total = 0
        for facts in self._facts:
            own = _window_plan(plan, facts.sliding_window) if facts.sliding_window is not None else plan
            total += facts.kv_heads * facts.key_dim * own.codec.queries * torch.float32.itemsize
            token = facts.kv_heads * ((facts.key_dim + facts.value_dim) * self._dtype.itemsize + 4)
            tokens = Recent.buffer_tokens(max(1, own.sinks)) + Recent.buffer_tokens(self._capacity(own))
            total += tokens * token
        return total

    def _columns(self, facts: LayerFacts, plan: Plan) -> tuple[Column, ...]:
        return plan.codec.columns(block_shape(facts, plan, self._dtype))

    def _all_rows(self, plan: Plan) -> int:
        """Bytes that one row takes in all layers together, with its part of the index."""
        if not plan.keep.stores:
            return 0
        share = plan.block / plan.segment.lengths[0]
        governed = [facts for facts in self._facts if facts.sliding_window is None]
        index = sum(row_bytes(_index_columns(facts, plan)) for facts in governed)
        return sum(row_bytes(self._columns(facts, plan)) for facts in governed) + math.ceil(index * share)

    def _least_rows(self, plan: Plan) -> int:
        """The most rows that one step can add to a layer."""
        waiting = plan.segment.lengths[1] - plan.block
        return (max(plan.dense - plan.window - plan.sinks, self._chunk) + waiting) // plan.block + 2

    def _rows(self, plan: Plan, room: int | None) -> int | None:
        each = self._all_rows(plan)
        return None if room is None or each == 0 else max(0, room // each)

    def _bytes(self, size: Size | None) -> int | None:
        return None if size is None else size.in_bytes(self._bytes_per_token)


def _index_columns(facts: LayerFacts, plan: Plan) -> tuple[Column, ...]:
    """What stands for a block, and where the block lies if it is not one row."""
    columns = plan.index.columns(facts.kv_heads, facts.key_dim)
    if not columns or plan.segment.lengths == (plan.block, plan.block):
        return columns
    return (*columns, Column("start", 1, (), torch.int64), Column("length", 1, (), torch.int64))


def _index_rows(plan: Plan, tiers: TierRows) -> TierRows:
    """As many rows of the index as the blocks may be that lie in so many rows."""

    def blocks(rows: int | None) -> int | None:
        return None if rows is None else rows * plan.block // plan.segment.lengths[0]

    return TierRows(blocks(tiers.device), blocks(tiers.host), blocks(tiers.disk))


def block_shape(facts: LayerFacts, plan: Plan, dtype: torch.dtype) -> BlockShape:
    """What a block of a layer holds before it is encoded."""
    return BlockShape(facts.kv_heads, plan.block, facts.key_dim, facts.value_dim, dtype)


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
