"""What was fetched lately from the tiers below the device, in slots of the device's memory.

A slot holds what one KV head stores in one row, in every column: heads that look for rows of their own need no others,
and a search that is shared takes as many slots as there are heads. Where one head stands for all, each has a copy.

A row never changes once it is stored, and its number is never given to another, so what a slot holds is never stale.

Shapes: G KV heads, S slots, n pairs of row and head, m of them that are in no slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farspan.cache.columns import Column, Rows, row_bytes, slot_bytes

Numbers = NDArray[np.int64]
_EMPTY = -1
_OWNER = 1 << 40


class Fetched(NamedTuple):
    """Where fetched pairs lie: in a slot or, from the number of slots on, in `others`, `[n, *shape]` a column."""

    slot_n: Numbers
    others: Rows | None = None


class Slots:
    """Slots for pairs of row and head, each by a key; those that were looked up longest ago are filled anew.

    What was looked up since `begin` stays, so that attention can meet it where it lies; what finds no slot any more
    lies beside them for that once. There are none before `make`. All arenas that share rows share
    their slots; each has keys of its own, from `own_keys` on.
    """

    def __init__(self, columns: tuple[Column, ...], device: torch.device) -> None:
        self.columns = columns
        self.heads = max(column.heads for column in columns)
        self.device = device
        self._data: Rows = {}
        self._now, self._owners = 1, 0
        self.make(0)

    def make(self, rows: int) -> None:
        """Make as many slots as the bytes of so many rows allow; their memory is taken when one is first filled."""
        self.count = rows * row_bytes(self.columns) // slot_bytes(self.columns)
        self._key_S = np.full(self.count, _EMPTY, dtype=np.int64)
        self._used_S = np.zeros(self.count, dtype=np.int64)
        self._sort()

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return self.count * slot_bytes(self.columns) if self._data else 0

    def own_keys(self) -> int:
        """The first of the keys of another arena."""
        self._owners += 1
        return (self._owners - 1) * _OWNER

    def begin(self) -> None:
        """What was looked up so far may leave."""
        self._now += 1

    def find(self, key_n: Numbers, read: Callable[[Numbers], Rows]) -> Fetched:
        """Where what these keys stand for lies. `read` gives that of keys in no slot: `[m, *shape]` a column."""
        slot_n, there_n = self._look_up(key_n)
        self._used_S[slot_n[there_n]] = self._now
        if there_n.all():
            return Fetched(slot_n)
        key_m, which = np.unique(key_n[~there_n], return_inverse=True)
        rows, free = read(key_m), np.flatnonzero(self._used_S < self._now)
        free = free[np.argsort(self._used_S[free], kind="stable")][: len(key_m)]
        self._fill(free, key_m[: len(free)], rows)
        slot_n[~there_n] = np.append(free, np.arange(self.count, self.count + len(key_m) - len(free)))[which]
        whole = len(free) == len(key_m)
        return Fetched(slot_n, None if whole else {name: value[len(free) :] for name, value in rows.items()})

    def gather(self, name: str, found: Fetched) -> Tensor:
        """What was found of a column: `[n, *shape]`, a copy."""
        at_n = torch.from_numpy(found.slot_n).to(self.device)
        if found.others is None:
            return self._data[name].index_select(0, at_n)
        here_n = (at_n < self.count).nonzero().squeeze(1)
        value = found.others[name].index_select(0, (at_n - self.count).clamp(min=0))
        if here_n.numel():
            value.index_copy_(0, here_n, self._data[name].index_select(0, at_n[here_n]))
        return value

    def memories(self, names: tuple[str, ...], found: Fetched) -> list[tuple[Tensor, ...]]:
        """The slots, if there are any, and the others, the same ones for every head: `[G, S, *shape]` a name."""
        held = [rows for rows in (self._data, found.others) if rows]
        return [tuple([rows[name].expand(self.heads, *rows[name].shape) for name in names]) for rows in held]

    def _look_up(self, key_n: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """A slot for every key, and whether it is in there."""
        if not self.count:
            return np.zeros_like(key_n), np.zeros(key_n.shape, dtype=np.bool_)
        slot_n = self._order_S[np.searchsorted(self._sorted_S[:-1], key_n)]
        return slot_n, self._key_S[slot_n] == key_n

    def _fill(self, slot_m: Numbers, key_m: Numbers, rows: Rows) -> None:
        """Put the first rows into slots, which stand for nothing until they are whole."""
        if not len(slot_m):
            return
        self._data = self._data or {
            column.name: torch.empty((self.count, *column.shape), dtype=column.dtype, device=self.device)
            for column in self.columns
        }
        self._key_S[slot_m] = _EMPTY
        at_m = torch.from_numpy(slot_m).to(self.device)
        for name, value in rows.items():
            self._data[name].index_copy_(0, at_m, value[: len(slot_m)])
        self._key_S[slot_m] = key_m
        self._used_S[slot_m] = self._now
        self._sort()

    def _sort(self) -> None:
        self._order_S = np.argsort(self._key_S)
        self._sorted_S = self._key_S[self._order_S]
