"""Rows that tell by their content which row and head they are, for any arena, ring or file to hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from farspan.cache.arena import Arena
from farspan.cache.columns import Column, Rows

HEADS = 2
COLUMNS = (
    Column("k", HEADS, (3, 4), torch.bfloat16, by_token=True),
    Column("v", HEADS, (3, 2), torch.float32),
    Column("mean", HEADS, (4,), torch.float32),
)
NAMES = tuple(column.name for column in COLUMNS)


def content(number: int, column: Column = COLUMNS[0], salt: int = 0) -> Tensor:
    """What row `number` holds in a column: `[G, *shape]`."""
    generator = torch.Generator().manual_seed(1000 * salt + number)
    return torch.randn((column.heads, *column.shape), generator=generator).to(column.dtype)


def rows(numbers: Iterable[int], salt: int = 0) -> Rows:
    """Rows with these numbers, as a ring takes them."""
    listed = list(numbers)
    return {column.name: torch.stack([content(n, column, salt) for n in listed], 1) for column in COLUMNS}


def check_runs(found: Iterable[tuple[int, Rows]], expected: Sequence[Rows], start: int, limit: int) -> None:
    """What `runs` or `scan` gave is each row once, in order, from `start` on, at most `limit` at a time."""
    at = start
    for first, part in found:
        count = part["k"].shape[1]
        assert first == at and 0 < count <= limit
        for name in part:
            wanted = torch.cat([expected[number][name] for number in range(first, first + count)], 1)
            assert torch.equal(part[name], wanted)
        at += count
    assert at == len(expected)


def add(arena: Arena, count: int, salt: int = 0) -> None:
    """Append rows one at a time."""
    for number in range(arena.length, arena.length + count):
        arena.prepare(1)
        arena.append(rows([number], salt))
