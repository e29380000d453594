"""The newest blocks of a layer in one contiguous arena in memory, addressed round and round.

Shapes: G KV heads, n rows (blocks).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from farspan.cache.columns import Column, Rows, count_rows
from farspan.cache.lying import Lying

FIRST_ROWS = 2


class Ring:
    """Rows `[start, end)` of a growing sequence, at most `capacity` of them (`None`: no limit).

    The arena grows by doubling until it has its capacity; from then on new rows take the place of the oldest, which
    the owner takes out with `pop` beforehand. Before the first does, the owner may lower the capacity.
    """

    def __init__(self, columns: tuple[Column, ...], capacity: int | None, device: torch.device, start: int = 0) -> None:
        self.columns = columns
        self.capacity = capacity
        self.device = device
        self.start = self.end = self._origin = start
        self._size = 0
        self._data: dict[str, Tensor] = {}
        self._resize(FIRST_ROWS if capacity is None else min(capacity, FIRST_ROWS))

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the room for rows to come."""
        return sum(value.nbytes for value in self._data.values())

    def overflow(self, rows: int) -> int:
        """How many of the oldest rows must leave before `rows` more fit."""
        return 0 if self.capacity is None else max(0, len(self) + rows - self.capacity)

    def append(self, rows: Rows) -> None:
        """Add rows at the end; the caller has made room."""
        added = count_rows(rows)
        assert self.overflow(added) == 0, "rows appended without room"
        while len(self) + added > self._size:
            self._resize(self._size * 2 if self.capacity is None else min(self._size * 2, self.capacity))
        done = 0
        while done < added:
            at = self._at(self.end)
            step = min(added - done, self._size - at)
            for name, value in rows.items():
                self._data[name][:, at : at + step] = value[:, done : done + step]
            self.end += step
            done += step

    def pop(self, rows: int) -> None:
        """Forget the oldest rows."""
        assert rows <= len(self)
        self.start += rows
        if rows and self.capacity is not None and self._size != self.capacity:
            self._resize(self.capacity)

    def gather(self, name: str, rows_n: Tensor, heads_n: Tensor, tokens_n: Tensor | None = None) -> Tensor:
        """What head `heads_n[i]` stores in row `rows_n[i]`, of token `tokens_n[i]` if given: `[n, *shape]`, a copy."""
        data, at_n = self._data[name], (rows_n - self._origin) % self._size
        if data.shape[0] > 1:
            at_n += heads_n * self._size
        if tokens_n is None:
            return data.flatten(0, 1).index_select(0, at_n.to(self.device))
        return data.flatten(0, 2).index_select(0, (at_n * data.shape[2] + tokens_n).to(self.device))

    def places(
        self, names: tuple[str, ...], rows_NX: Tensor, heads_N: Tensor, low: int, high: int, beside: bool
    ) -> Lying:
        """Where those of the rows `[low, high)` lie, whatever the heads: the memory itself, and nothing beside it."""
        at_NX = rows_NX - self._origin if self._origin else rows_NX
        went_round = self.end - self._origin > self._size
        memory = tuple([self._data[name] for name in names])
        return Lying([memory], None, at_NX % self._size if went_round else at_NX)

    def runs(self, names: tuple[str, ...], start: int, end: int, limit: int) -> Iterator[tuple[int, Rows]]:
        """Rows `[start, end)` as views of at most `limit` rows, in order, each with the number of its first row."""
        while start < end:
            at = self._at(start)
            step = min(end - start, self._size - at, limit)
            yield start, {name: self._data[name][:, at : at + step] for name in names}
            start += step

    def _at(self, row: int) -> int:
        return (row - self._origin) % self._size

    def _resize(self, size: int) -> None:
        held, at = len(self), self.start - self._origin
        assert at + held <= self._size, "a ring that went round keeps its size"
        for column in self.columns:
            grown = torch.empty((column.heads, size, *column.shape), dtype=column.dtype, device=self.device)
            if held:
                grown[:, :held] = self._data[column.name][:, at : at + held]
            self._data[column.name] = grown
        self._size, self._origin = size, self.start
