"""A tier below the device, as it is met from there: what was fetched of it lately lies in slots.

Shapes: G KV heads, N searches, X rows that each search fetches, n rows, m pairs of row and head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from farspan.cache.columns import Column, Rows
from farspan.cache.lying import Lying
from farspan.cache.slots import Fetched, Numbers, Slots


class Tier(Protocol):
    """What holds rows."""

    def gather(self, name: str, rows_n: Tensor, heads_n: Tensor, tokens_n: Tensor | None = None) -> Tensor:
        """What head `heads_n[i]` stores in row `rows_n[i]`, of token `tokens_n[i]` if given: `[n, *shape]`."""
        ...

    def runs(self, names: tuple[str, ...], start: int, end: int, limit: int) -> Iterator[tuple[int, Rows]]:
        """Rows `[start, end)`, at most `limit` at once, in order, each part with the number of its first row."""
        ...


class Lower:
    """A tier of an arena whose keys in the slots begin at `first_key`."""

    def __init__(self, tier: Tier, columns: tuple[Column, ...], slots: Slots, first_key: int) -> None:
        self.tier = tier
        self.columns = columns
        self.slots = slots
        self._first_key = first_key

    def gather(self, name: str, rows_n: Tensor, heads_n: Tensor, tokens_n: Tensor | None = None) -> Tensor:
        """What head `heads_n[i]` stores in row `rows_n[i]`, by the slots as far as they go: `[n, *shape]`.

        Single tokens are read past the slots: a whole row for each would be too much.
        """
        if tokens_n is not None or not self.slots.count:
            return self.tier.gather(name, rows_n, heads_n, tokens_n)
        slot_n, other_m = self._find(_numbers(rows_n), _numbers(heads_n))
        if not len(other_m):
            return self.slots.gather(name, slot_n)
        beside_n = torch.from_numpy(slot_n >= self.slots.count)
        at_n = beside_n.nonzero().squeeze(1).to(rows_n.device)
        others = self.tier.gather(name, rows_n[at_n], heads_n[at_n]).to(self.slots.device)
        value = others.new_empty((len(rows_n), *others.shape[1:]))
        value[beside_n] = others
        if len(others) < len(value):
            value[~beside_n] = self.slots.gather(name, slot_n[slot_n < self.slots.count])
        return value

    def places(
        self, names: tuple[str, ...], rows_NX: Tensor, heads_N: Tensor, low: int, high: int, beside: bool
    ) -> Lying | None:
        """Where those of the rows `[low, high)` lie once they are fetched: in slots or, without one, `beside` them;
        None if that may not be.
        """
        rows, heads = _numbers(rows_NX), _numbers(heads_N)[:, None]
        here = (rows >= low) & (rows < high)
        slot_n, other_m = self._find(rows[here], np.broadcast_to(heads, rows.shape)[here])
        if len(other_m) and not beside:
            return None
        at = np.zeros(rows.shape, dtype=np.int64)
        at[here] = slot_n
        memories = self.slots.memories(names, self._read(other_m) if len(other_m) else {})
        at_NX, which_NX = torch.from_numpy(at).to(rows_NX.device), None
        if len(other_m):
            beside_NX = at_NX >= self.slots.count
            at_NX, which_NX = torch.where(beside_NX, at_NX - self.slots.count, at_NX), beside_NX.long()
        return Lying(memories, which_NX if len(memories) > 1 else None, at_NX)

    def runs(self, names: tuple[str, ...], start: int, end: int, limit: int) -> Iterator[tuple[int, Rows]]:
        """Rows `[start, end)`, as the tier gives them; a scan goes past the slots."""
        return self.tier.runs(names, start, end, limit)

    def _find(self, rows_n: Numbers, heads_n: Numbers) -> Fetched:
        return self.slots.find(self._first_key + rows_n * self.slots.heads + heads_n, self._read)

    def _read(self, key_m: Numbers) -> Rows:
        rows_m, heads_m = map(torch.from_numpy, np.divmod(key_m - self._first_key, self.slots.heads))
        device = self.slots.device
        return {column.name: self.tier.gather(column.name, rows_m, heads_m).to(device) for column in self.columns}


def _numbers(x: Tensor) -> Numbers:
    numbers: Numbers = x.cpu().numpy()
    return numbers
