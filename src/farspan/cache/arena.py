"""All blocks of one layer that left the window, over the tiers device, host and disk, in one numbering.

The newest blocks lie on the device, older ones on the host, the oldest on disk; those that were fetched from there
lately also lie on the device, in slots. Where there is no disk tier the oldest are dropped, and counted.

Shapes: G KV heads, n rows (blocks), N searches, X rows that each search fetches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from farspan.cache.blockfile import BlockFile
from farspan.cache.columns import Column, Rows, count_rows, row_bytes
from farspan.cache.lower import Lower, Tier
from farspan.cache.lying import Lying
from farspan.cache.ring import Ring
from farspan.cache.slots import Slots
from farspan.errors import StorageFull
from farspan.types import format_bytes


@dataclass(frozen=True, slots=True)
class TierRows:
    """How many blocks each tier may hold; None is no limit, 0 switches the tier off. `device` is at least 1.

    When the device is full, the room of `slots` of its blocks is given to those that are fetched from lower tiers.
    """

    device: int | None = None
    host: int | None = 0
    disk: int | None = None
    slots: int = 0


class Arena:
    """Rows `[first, length)` of a layer; rows below `first` were dropped.

    A fork shares the rows of its parent that were there when it was made and keeps its own new ones. Both fetch into
    the same slots, so they take turns.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        limits: TierRows,
        device: torch.device,
        file: BlockFile | None = None,
        parent: Arena | None = None,
        may_drop: bool = True,
    ) -> None:
        self.columns = columns
        self.limits = limits
        self.device = device
        self.file = file
        self.parent = parent
        self.may_drop = may_drop
        self._base = parent.length if parent is not None else 0
        self._first = self._base
        self._rings = [Ring(columns, limits.device, device, self._base)]
        if limits.host != 0 and device.type != "cpu":
            self._rings.append(Ring(columns, limits.host, torch.device("cpu"), self._base))
        self.slots: Slots = Slots(columns, device) if parent is None else parent.slots
        self._first_key = self.slots.own_keys()

    @property
    def length(self) -> int:
        """Rows that were ever appended."""
        return self._rings[0].end

    @property
    def first(self) -> int:
        """The oldest row that is still there."""
        return self._first if self.parent is None else min(self.parent.first, self._base)

    @property
    def fits_in_file(self) -> bool:
        """Whether the disk tier may hold all rows."""
        return self.limits.disk is None or self.length - self.first <= self.limits.disk

    @property
    def dropped(self) -> int:
        """Rows that are in no tier any more."""
        own = self._first - self._base
        return own if self.parent is None else own + min(self.parent.dropped, self._base)

    def prepare(self, rows: int) -> None:
        """Write to disk whatever must leave memory before `rows` more fit; nothing else changes.

        Raises StorageFull when the disk tier's limit or the disk itself does not take it, or when there is no disk
        tier and nothing may be dropped.
        """
        if not self._rings[0].overflow(rows):
            return
        leaving = self.length + rows - self._memory_rows()
        if self.file is not None:
            self.write_to_file(leaving)
        elif leaving > self._base and not self.may_drop:
            raise StorageFull(
                f"the memory budget is full at {leaving} blocks and this method forgets nothing",
                fix="allow a disk tier (disk=50GiB), raise the budget, or use a method that forgets",
            )

    def write_to_file(self, end: int) -> None:
        """Make sure that rows below `end` are in the file; they stay in memory as well."""
        assert self.file is not None
        if self.limits.disk is not None and end - self.file.origin > self.limits.disk:
            limit = format_bytes(self.limits.disk * row_bytes(self.columns))
            raise StorageFull(
                f"the disk tier is full: a layer may store {limit} there; the session stands at its last chunk",
                fix="raise the disk budget, for example --budget device=512MiB,disk=50GiB",
            )
        names = tuple(column.name for column in self.columns)
        for ring in reversed(self._rings):
            for _, rows in ring.runs(names, max(self.file.end, ring.start), min(end, ring.end), limit=256):
                self.file.append(rows)

    def append(self, rows: Rows) -> None:
        """Add rows; `prepare` has been called for at least as many."""
        added = count_rows(rows)
        if self._rings[0].overflow(added):
            self._make_slots()
        self._cascade(0, added)
        self._rings[0].append(rows)

    def gather(
        self, names: tuple[str, ...], rows_NX: Tensor, heads_N: Tensor, tokens_NX: Tensor | None = None
    ) -> list[Tensor]:
        """Fetch, for search i, rows `rows_NX[i]` of KV head `heads_N[i]`: one tensor `[N, X, *shape]` a name.

        What a column of one head holds is every head's. With `tokens_NX`, columns that are read by token give
        that token of each row only, without its axis. Rows of lower tiers come by the slots.
        """
        rows_n = rows_NX.reshape(-1)
        heads_n = heads_N[:, None].expand_as(rows_NX).reshape(-1)
        parts = [
            (index_n, tier)
            for low, high, _, tier in self._tiers()
            if (index_n := ((rows_n >= low) & (rows_n < high)).nonzero().squeeze(1)).numel()
        ]
        out = []
        for column in (column for name in names for column in self.columns if column.name == name):
            tokens_n = tokens_NX.reshape(-1) if tokens_NX is not None and column.by_token else None
            shape = column.shape if tokens_n is None else column.shape[1:]
            if len(parts) == 1:
                found = parts[0][1].gather(column.name, rows_n, heads_n, tokens_n).to(self.device)
            else:
                found = torch.empty((rows_n.numel(), *shape), dtype=column.dtype, device=self.device)
                for index_n, tier in parts:
                    at_n = None if tokens_n is None else tokens_n[index_n]
                    part = tier.gather(column.name, rows_n[index_n], heads_n[index_n], at_n)
                    found.index_copy_(0, index_n, part.to(self.device))
            out.append(found.view(*rows_NX.shape, *shape))
        return out

    def lying(self, names: tuple[str, ...], rows_NX: Tensor, heads_N: Tensor, *, beside: bool = True) -> Lying | None:
        """Where these rows of KV heads `heads_N`, none of them dropped, lie on the device until `begin`; those of lower
        tiers are fetched. None if slots cannot hold those and they may not lie `beside` them, in memory of their own.
        """
        oldest, newest = (int(row) for row in rows_NX.aminmax())
        lying: Lying | None = None
        for low, high, _, tier in self._downwards():
            if low <= newest and oldest < high:
                places = tier.places(names, rows_NX, heads_N, low, high, beside)
                if places is None:
                    return None
                lying = places if lying is None else lying.joined(places, rows_NX < high)
            if low <= oldest:
                break
        assert lying is not None
        return lying

    def begin(self) -> None:
        """A new chunk is met: what was fetched for the one before may leave the slots."""
        self.slots.begin()

    def scan(self, names: tuple[str, ...], limit: int) -> Iterator[tuple[int, Rows]]:
        """All rows from oldest to newest, at most `limit` at a time: the first's number, columns `[G, n, *shape]`."""
        for low, high, _, tier in self._tiers():
            for first, rows in tier.runs(names, low, high, limit):
                yield first, {name: value.to(self.device) for name, value in rows.items()}

    def rows_in(self) -> dict[str, int]:
        """Rows by tier; those shared with a parent count where the parent holds them."""
        counts = {"device": 0, "host": 0, "disk": 0}
        for low, high, name, _ in self._tiers():
            counts[name] += high - low
        return counts

    def own_bytes(self) -> int:
        """Bytes in memory of the rows that are its own, with the slots where there is no parent."""
        return sum(ring.nbytes for ring in self._rings) + (self.slots.nbytes if self.parent is None else 0)

    def fork(self, limits: TierRows, file: BlockFile | None) -> Arena:
        """An arena that begins with this one's rows and grows apart from it."""
        return Arena(self.columns, limits, self.device, file, parent=self, may_drop=self.may_drop)

    def copy_to(self, file: BlockFile) -> None:
        """Write every row into another file, whose origin must be `first`."""
        assert file.origin == self.first
        for _, rows in self.scan(tuple(column.name for column in self.columns), limit=256):
            file.append(rows)

    def restore(self, dropped: int) -> None:
        """Take up the rows of the file this arena was opened on: the newest go back to memory."""
        assert self.file is not None and self.length == 0
        self._first = dropped
        names = tuple(column.name for column in self.columns)
        if self._rings[0].overflow(len(self.file)):
            self._make_slots()
        capacity = self._rings[0].capacity
        start = self.file.origin if capacity is None else max(self.file.origin, self.file.end - capacity)
        self._rings = [Ring(self.columns, ring.capacity, ring.device, start) for ring in self._rings]
        for _, rows in self.file.runs(names, start, self.file.end, limit=256):
            self._rings[0].append(rows)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()

    def _memory_rows(self) -> int:
        """Rows that stay in memory when the device is full."""
        capacities = [ring.capacity for ring in self._rings]
        known = [capacity for capacity in capacities if capacity is not None]
        if len(known) < len(capacities):
            return self.length + (1 << 62)
        return sum(known) - (0 if self.slots.count else self.limits.slots)

    def _make_slots(self) -> None:
        ring = self._rings[0]
        if self.limits.slots and not self.slots.count and ring.capacity is not None:
            ring.capacity -= self.limits.slots
            self.slots.make(self.limits.slots)

    def _cascade(self, level: int, rows: int) -> None:
        """Make room for `rows` in the ring at `level`: its oldest move one tier down, or are dropped."""
        ring = self._rings[level]
        leaving = ring.overflow(rows)
        if leaving and level + 1 < len(self._rings):
            self._cascade(level + 1, leaving)
            names = tuple(column.name for column in self.columns)
            for _, moved in ring.runs(names, ring.start, ring.start + leaving, limit=leaving):
                self._rings[level + 1].append(moved)
        elif leaving and self.file is None:
            self._first += leaving
        ring.pop(leaving)

    def _tiers(self) -> list[tuple[int, int, str, Ring | Lower]]:
        """Where rows lie, oldest first: low, high, the tier's name, the tier."""
        return [*self._downwards()][::-1]

    def _downwards(self) -> Iterator[tuple[int, int, str, Ring | Lower]]:
        """The same, newest first, for who may stop early."""
        device, *lower = self._rings
        if len(device):
            yield device.start, device.end, "device", device
        for ring in lower:
            if len(ring):
                yield ring.start, ring.end, "host", self._lower(ring)
        if self.file is not None and self.file.origin < self._rings[-1].start:
            yield self.file.origin, self._rings[-1].start, "disk", self._lower(self.file)
        if self.parent is not None:
            for low, high, name, tier in self.parent._downwards():
                if low < self._base:
                    yield low, min(high, self._base), name, tier

    def _lower(self, tier: Tier) -> Lower:
        return Lower(tier, self.columns, self.slots, self._first_key)
