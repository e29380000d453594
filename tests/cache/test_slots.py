"""What is fetched from lower tiers: read once, met where it lies, and never another row than was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from farspan.cache.arena import Arena, TierRows
from farspan.cache.blockfile import BlockFile
from farspan.cache.columns import row_bytes
from tests.cache.rows import COLUMNS, add, content

CPU = torch.device("cpu")


def lies(arena: Arena, name: str, rows_NX: torch.Tensor, heads_N: torch.Tensor) -> list[list[torch.Tensor]]:
    """What stands where an arena says that these rows lie."""
    lying = arena.lying((name,), rows_NX, heads_N)
    assert lying is not None
    which_NX = torch.zeros_like(rows_NX) if lying.which_NX is None else lying.which_NX
    return [
        [lying.memories[which][0][head, at] for which, at in zip(*pair, strict=True)]
        for head, *pair in zip(heads_N.tolist(), which_NX.tolist(), lying.at_NX.tolist(), strict=True)
    ]


class Counted(BlockFile):
    """Counts what is read from it, row by row and head by head."""

    def gather(self, name: str, rows_n: Any, heads_n: Any, tokens_n: Any = None) -> torch.Tensor:
        self.read = [*getattr(self, "read", []), *zip(rows_n.tolist(), heads_n.tolist(), strict=True)]
        return super().gather(name, rows_n, heads_n, tokens_n)


def counted(folder: Path, slots: int = 4) -> Arena:
    """An arena with room for eight rows, half of which become slots, and sixteen rows."""
    arena = Arena(COLUMNS, TierRows(8, 0, None, slots), CPU, Counted(folder, "0", COLUMNS))
    add(arena, 16)
    return arena


def reads(arena: Arena, rows: list[list[int]], heads: list[int]) -> list[tuple[int, int]]:
    """What a chunk that meets these rows has read from the file: every pair once, for each of three columns."""
    file: Any = arena.file
    file.read = []
    arena.begin()
    found = lies(arena, "k", torch.tensor(rows), torch.tensor(heads))
    for search, head in enumerate(heads):
        for at, row in enumerate(rows[search]):
            assert torch.equal(found[search][at], content(row)[head])
    assert sorted(file.read) == sorted(3 * sorted(set(file.read)))
    return sorted(set(file.read))


def test_only_what_is_not_at_hand_is_read(tmp_path: Path) -> None:
    arena = counted(tmp_path)
    assert reads(arena, [[1, 2, 14], [3, 1, 15]], [0, 1]) == [(1, 0), (1, 1), (2, 0), (3, 1)]
    assert reads(arena, [[1, 2, 4], [3, 1, 13]], [0, 1]) == [(4, 0)]
    assert reads(arena, [[1, 4, 5], [1, 2, 3]], [1, 1]) == [(2, 1), (4, 1), (5, 1)]
    assert arena.slots.nbytes == 4 * row_bytes(COLUMNS)
    arena.close()


def test_what_was_looked_up_longest_ago_leaves_first(tmp_path: Path) -> None:
    arena = counted(tmp_path)
    for row in range(8):
        assert reads(arena, [[row]], [0]) == [(row, 0)]
    assert reads(arena, [[0]], [0]) == []
    assert reads(arena, [[8]], [0]) == [(8, 0)]
    assert reads(arena, [[0, 2, 3]], [0]) == []
    assert reads(arena, [[1]], [0]) == [(1, 0)]
    arena.close()


def test_a_search_that_needs_more_than_the_slots_keeps_what_they_hold(tmp_path: Path) -> None:
    arena = counted(tmp_path, slots=1)
    assert reads(arena, [[0, 1, 2, 3]], [0]) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert reads(arena, [[0, 1, 2, 3]], [0]) == [(2, 0), (3, 0)]
    arena.close()


def test_what_a_chunk_has_found_stays_until_the_next(tmp_path: Path) -> None:
    arena = counted(tmp_path, slots=1)
    arena.begin()
    first = lies(arena, "k", torch.tensor([[0, 1, 2]]), torch.tensor([0]))
    for row in range(3, 12):
        arena.gather(("v",), torch.tensor([[row]]), torch.tensor([1]))
        lies(arena, "k", torch.tensor([[row]]), torch.tensor([1]))
    assert torch.equal(torch.stack(first[0]), torch.stack([content(row)[0] for row in range(3)]))
    arena.close()


def test_what_left_the_device_between_two_chunks_is_read_and_nothing_else(tmp_path: Path) -> None:
    arena = counted(tmp_path)
    assert reads(arena, [[12, 15]], [0]) == []
    add(arena, 1)
    assert reads(arena, [[12, 15]], [0]) == [(12, 0)]
    assert reads(arena, [[12, 15]], [0]) == []
    arena.close()


def test_a_fork_and_its_parent_have_other_rows_of_the_same_numbers(tmp_path: Path) -> None:
    parent = counted(tmp_path)
    fork = parent.fork(TierRows(2, 0, None), BlockFile(tmp_path, "1", COLUMNS, parent.length))
    add(parent, 8, salt=1)
    add(fork, 6, salt=2)
    heads_N = torch.tensor([0, 1])
    for _ in range(2):
        for arena, salt in ((parent, 1), (fork, 2)):
            arena.begin()
            for found, head in zip(lies(arena, "k", torch.tensor([[2, 17, 16]] * 2), heads_N), (0, 1), strict=True):
                wanted = [content(2)[head], content(17, salt=salt)[head], content(16, salt=salt)[head]]
                assert torch.equal(torch.stack(found), torch.stack(wanted))
    fork.close()
    assert reads(parent, [[2]], [0]) == []
    parent.close()


def test_what_fits_the_device_stays_there_whole(tmp_path: Path) -> None:
    arena = Arena(COLUMNS, TierRows(8, 0, None, 4), CPU, BlockFile(tmp_path, "0", COLUMNS))
    add(arena, 8)
    assert arena.rows_in() == {"device": 8, "host": 0, "disk": 0}
    add(arena, 1)
    assert arena.rows_in() == {"device": 4, "host": 0, "disk": 5}
    arena.write_to_file(arena.length)
    arena.close()
    again = Arena(COLUMNS, TierRows(8, 0, None, 4), CPU, Counted(tmp_path, "0", COLUMNS, rows=9))
    again.restore(0)
    assert again.rows_in() == {"device": 4, "host": 0, "disk": 5}
    assert again.slots.nbytes == 0
    assert reads(again, [[0, 8]], [1]) == [(0, 1)]
    again.close()
