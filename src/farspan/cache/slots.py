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
    """The slot of every key or, from the number of slots on, which of `other_m` it is: those have no slot."""

    slot_n: Numbers
    other_m: Numbers


class Slots:
    """Slots for pairs of row and head, each by a key; those that were looked up longest ago are filled anew.

    What was looked up since `begin` stays, so that attention can meet it where it lies. There are none before `make`.
    All arenas that share rows share their slots; each has keys of its own, from `own_keys` on.
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
        """The slots of these keys. `read` gives what a new one takes in: `[m, *shape]` a column."""
        slot_n, there_n = self._look_up(key_n)
        self._used_S[slot_n[there_n]] = self._now
        if there_n.all():
            return Fetched(slot_n, key_n[:0])
        key_m, which = np.unique(key_n[~there_n], return_inverse=True)
        free = np.flatnonzero(self._used_S < self._now)
        free = free[np.argsort(self._used_S[free], kind="stable")][: len(key_m)]
        new_m, other_m = np.split(key_m, [len(free)])
        if len(new_m):
            self._fill(free, new_m, read(new_m))
        slot_n[~there_n] = np.append(free, self.count + np.arange(len(other_m)))[which]
        return Fetched(slot_n, other_m)

    def gather(self, name: str, slot_n: Numbers) -> Tensor:
        """What these slots hold of a column: `[n, *shape]`, a copy."""
        return self._data[name].index_select(0, torch.from_numpy(slot_n).to(self.device))

    def memories(self, names: tuple[str, ...], others: Rows) -> list[tuple[Tensor, ...]]:
        """The slots, if any is filled, and others, if there are any, the same ones for every head: `[G, S, *shape]`."""
        held = [rows for rows in (self._data, others) if rows]
        return [tuple([rows[name].expand(self.heads, *rows[name].shape) for name in names]) for rows in held]

    def _look_up(self, key_n: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """A slot for every key, and whether it is in there."""
        if not self.count:
            return np.zeros_like(key_n), np.zeros(key_n.shape, dtype=np.bool_)
        slot_n = self._order_S[np.searchsorted(self._sorted_S[:-1], key_n)]
        return slot_n, self._key_S[slot_n] == key_n

    def _fill(self, slot_m: Numbers, key_m: Numbers, rows: Rows) -> None:
        """Put rows into slots, which stand for nothing until they are whole."""
        self._data = self._data or {
            column.name: torch.empty((self.count, *column.shape), dtype=column.dtype, device=self.device)
            for column in self.columns
        }
        self._key_S[slot_m] = _EMPTY
        at_m = torch.from_numpy(slot_m).to(self.device)
        for name, value in rows.items():
            self._data[name].index_copy_(0, at_m, value)
        self._key_S[slot_m] = key_m
        self._used_S[slot_m] = self._now
        self._sort()

    def _sort(self) -> None:
        self._order_S = np.argsort(self._key_S)
        self._sorted_S = self._key_S[self._order_S]
