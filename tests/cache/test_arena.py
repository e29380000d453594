"""An arena over its tiers against a list: rows are found wherever they lie, and nothing is lost unsaid."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from torch import Tensor

from farspan.cache.arena import Arena, TierRows
from farspan.cache.blockfile import BlockFile
from farspan.cache.columns import Rows, row_bytes
from farspan.cache.lying import Lying
from farspan.errors import StorageFull
from tests.cache.rows import COLUMNS, NAMES, add, check_runs, rows

CPU = torch.device("cpu")


class Accelerator(str):
    """Where tensors go to the CPU, but an arena takes it for a device with a memory of its own."""

    type = "accelerator"


ACCELERATOR: Any = Accelerator("cpu")
MOST = 3
LIMITS = st.one_of(st.none(), st.integers(MOST, 7))


class Line:
    """An arena, the list that it should equal, and what it may hold."""

    def __init__(self, arena: Arena, listed: list[Rows], limits: TierRows, parent: Line | None = None) -> None:
        self.arena = arena
        self.listed = listed
        self.limits = limits
        self.parent = parent
        self.base = len(listed)

    @property
    def room(self) -> int | None:
        """Rows that may lie on the device: less, for ever, once there were too many."""
        device = self.limits.device
        return device if device is None or len(self.listed) <= device else device - self.limits.slots

    @property
    def dropped(self) -> int:
        """Rows that no tier has room for."""
        if self.parent is not None:
            return min(self.parent.dropped, self.base)
        memory = [self.room, self.limits.host if self.arena.device is ACCELERATOR else 0]
        if self.arena.file is not None or None in memory:
            return 0
        return max(0, len(self.listed) - sum(room for room in memory if room is not None))


class Arenas(RuleBasedStateMachine):
    """Append, gather, scan, fork, close and open again, in any order."""

    @initialize(
        device=LIMITS,
        host=st.one_of(st.just(0), LIMITS),
        disk=st.sampled_from([None, 0, 9]),
        apart=st.booleans(),
        slots=st.integers(0, 3),
    )
    def begin(self, device: int | None, host: int | None, disk: int | None, apart: bool, slots: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.files = self.salt = 0
        limits = TierRows(device, host, disk, 0 if device is None else min(slots, device - MOST))
        file = None if disk == 0 else self.file(0)
        self.lines = [Line(Arena(COLUMNS, limits, ACCELERATOR if apart else CPU, file), [], limits)]

    def file(self, origin: int) -> BlockFile:
        self.files += 1
        return BlockFile(self.folder, f"{self.files:03d}", COLUMNS, origin)

    @rule(which=st.integers(0, 9), count=st.integers(1, MOST))
    def append(self, which: int, count: int) -> None:
        line = self.lines[which % len(self.lines)]
        self.salt += 1
        added = rows(range(count), self.salt)
        try:
            line.arena.prepare(count)
        except StorageFull:
            assert line.limits.disk == 9
            assert len(line.listed) + count - self.memory(line) > 9 + line.base
            return
        line.arena.append(added)
        line.listed += [{name: added[name][:, at : at + 1] for name in NAMES} for at in range(count)]

    def memory(self, line: Line) -> int:
        host = line.limits.host if line.arena.device is ACCELERATOR else 0
        assert line.limits.device is not None and host is not None
        return line.limits.device - line.limits.slots + host

    @rule(which=st.integers(0, 9), data=st.data(), searches=st.integers(1, 3), count=st.integers(1, 5))
    def gather(self, which: int, data: st.DataObject, searches: int, count: int) -> None:
        """Together and where they lie; what was found before, and lies there still until `begin`, is met once more."""
        line = self.lines[which % len(self.lines)]
        if line.dropped == len(line.listed):
            return
        number = st.integers(line.dropped, len(line.listed) - 1)
        rows_NX = torch.tensor(
            data.draw(st.lists(st.lists(number, min_size=count, max_size=count), min_size=searches, max_size=searches))
        )
        heads_N = torch.arange(searches) % 2
        for name, found in zip(("mean", "k"), line.arena.gather(("mean", "k"), rows_NX, heads_N), strict=True):
            for search in range(searches):
                wanted = [line.listed[int(row)][name][int(heads_N[search]), 0] for row in rows_NX[search]]
                assert torch.equal(found[search], torch.stack(wanted))
        tokens_NX = rows_NX % 3
        mean_NX, k_NX = line.arena.gather(("mean", "k"), rows_NX, heads_N)
        one_mean_NX, one_k_NX = line.arena.gather(("mean", "k"), rows_NX, heads_N, tokens_NX)
        assert torch.equal(one_mean_NX, mean_NX)
        assert torch.equal(one_k_NX, k_NX.take_along_dim(tokens_NX[..., None, None], 2).squeeze(2))
        found = {"mean": mean_NX, "k": k_NX}
        self.lies(line.arena.lying(tuple(found), rows_NX, heads_N), heads_N, found)
        line.arena.begin()
        tight = line.arena.lying(tuple(found), rows_NX, heads_N, beside=False)
        if tight is not None:
            self.lies(tight, heads_N, found)
        if line.parent is None:
            device = line.arena.length - line.arena.rows_in()["device"]
            pairs = {(int(row), int(head)) for row_X, head in zip(rows_NX, heads_N, strict=True) for row in row_X}
            assert (tight is None) == (len([row for row, _ in pairs if row < device]) > line.arena.slots.count)

    def lies(self, lying: Lying | None, heads_N: Tensor, found: Rows) -> None:
        assert lying is not None
        for column, found_NX in enumerate(found.values()):
            for at in itertools.product(*map(range, lying.at_NX.shape)):
                data = lying.memories[0 if lying.which_NX is None else lying.which_NX[at]][column]
                assert torch.equal(data[heads_N[at[0]] % len(data), lying.at_NX[at]], found_NX[at])

    @rule(which=st.integers(0, 9))
    def chunk(self, which: int) -> None:
        self.lines[which % len(self.lines)].arena.begin()

    @rule(which=st.integers(0, 9), limit=st.integers(1, 5))
    def scan(self, which: int, limit: int) -> None:
        line = self.lines[which % len(self.lines)]
        check_runs(line.arena.scan(NAMES, limit), line.listed, line.dropped, limit)

    @precondition(lambda self: len(self.lines) < 4)
    @rule(which=st.integers(0, 9), device=st.integers(MOST, 5))
    def fork(self, which: int, device: int) -> None:
        line = self.lines[which % len(self.lines)]
        oldest = self.lines[0]
        if oldest.arena.file is None and oldest.limits.device is not None:
            return  # what a parent without a disk drops, its forks lose
        limits = TierRows(device, 0, None)
        arena = line.arena.fork(limits, self.file(line.arena.length))
        self.lines.append(Line(arena, list(line.listed), limits, line))

    @precondition(lambda self: len(self.lines) == 1 and self.lines[0].arena.file and self.lines[0].limits.disk is None)
    @rule()
    def close_and_open(self) -> None:
        line = self.lines[0]
        arena, limits = line.arena, line.limits
        assert arena.file is not None
        arena.write_to_file(arena.length)
        first, count, dropped = arena.first, arena.length, arena.dropped
        arena.close()
        file = BlockFile(self.folder, "001", COLUMNS, first, count - first)
        line.arena = Arena(COLUMNS, limits, arena.device, file)
        line.arena.restore(dropped)

    @rule(which=st.integers(0, 9))
    def copy(self, which: int) -> None:
        line = self.lines[which % len(self.lines)]
        file = self.file(line.arena.first)
        line.arena.copy_to(file)
        check_runs(file.runs(NAMES, file.origin, file.end, 4), line.listed, line.dropped, 4)
        file.close()

    @invariant()
    def counts_add_up(self) -> None:
        for line in getattr(self, "lines", []):
            held, arena = line.arena.rows_in(), line.arena
            assert arena.length == len(line.listed)
            assert arena.dropped == arena.first == line.dropped
            assert sum(held.values()) == len(line.listed) - line.dropped
            if line.parent is None and line.room is not None:
                assert held["device"] <= line.room
                assert held["device"] * row_bytes(COLUMNS) + arena.slots.nbytes <= line.limits.device * row_bytes(
                    COLUMNS
                )
            if line.parent is None and line.limits.host is not None:
                assert held["host"] <= line.limits.host
            if arena.file is None:
                assert held["disk"] == 0

    def teardown(self) -> None:
        for line in getattr(self, "lines", []):
            line.arena.close()
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)


TestArenas = Arenas.TestCase
TestArenas.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_tiers_fill_from_the_device_down(tmp_path: Path) -> None:
    arena = Arena(COLUMNS, TierRows(3, 4, None), ACCELERATOR, BlockFile(tmp_path, "0", COLUMNS))
    seen = []
    for _ in range(12):
        add(arena, 1)
        seen.append(tuple(arena.rows_in().values()))
    assert seen[2] == (3, 0, 0) and seen[6] == (3, 4, 0) and seen[11] == (3, 4, 5)
    assert (tmp_path / "0.mean").stat().st_size == 5 * COLUMNS[2].row_bytes


def test_the_host_is_the_device_on_a_cpu() -> None:
    arena = Arena(COLUMNS, TierRows(3, 4, 0), CPU)
    add(arena, 9)
    assert arena.rows_in() == {"device": 3, "host": 0, "disk": 0} and arena.dropped == 6


def test_a_method_that_forgets_nothing_is_told_that_memory_is_full() -> None:
    arena = Arena(COLUMNS, TierRows(4, 0, 0), CPU, may_drop=False)
    add(arena, 4)
    with pytest.raises(StorageFull, match=r"full at|5 blocks") as caught:
        arena.prepare(1)
    assert "disk" in caught.value.fix
    assert arena.length == 4 and arena.dropped == 0
    check_runs(arena.scan(NAMES, 9), [rows([number]) for number in range(4)], 0, 9)


def test_the_disk_tier_has_a_limit(tmp_path: Path) -> None:
    arena = Arena(COLUMNS, TierRows(2, 0, 3), CPU, BlockFile(tmp_path, "0", COLUMNS))
    add(arena, 5)
    for _ in range(2):
        with pytest.raises(StorageFull, match="disk tier is full"):
            arena.prepare(1)
    check_runs(arena.scan(NAMES, 9), [rows([number]) for number in range(5)], 0, 9)
    assert arena.rows_in() == {"device": 2, "host": 0, "disk": 3}


def test_a_fork_keeps_its_rows_when_its_parent_goes_on(tmp_path: Path) -> None:
    parent = Arena(COLUMNS, TierRows(4, 0, None), CPU, BlockFile(tmp_path, "0", COLUMNS))
    add(parent, 4)
    fork = parent.fork(TierRows(4, 0, None), BlockFile(tmp_path, "1", COLUMNS, parent.length))
    add(parent, 3, salt=1)
    add(fork, 2, salt=2)
    expected = [rows([number]) for number in range(4)] + [rows([number], 2) for number in (4, 5)]
    check_runs(fork.scan(NAMES, 9), expected, 0, 9)
    assert fork.dropped == 0


def test_what_a_parent_without_a_disk_drops_its_forks_count_as_dropped(tmp_path: Path) -> None:
    parent = Arena(COLUMNS, TierRows(4, 0, 0), CPU)
    add(parent, 4)
    fork = parent.fork(TierRows(4, 0, None), BlockFile(tmp_path, "1", COLUMNS, parent.length))
    add(fork, 2, salt=2)
    for gone in range(1, 7):
        add(parent, 1, salt=1)
        lost = min(gone, 4)
        assert fork.dropped == fork.first == lost
        assert sum(fork.rows_in().values()) == 6 - lost
        expected = [rows([number]) for number in range(4)] + [rows([number], 2) for number in (4, 5)]
        check_runs(fork.scan(NAMES, 9), expected, lost, 9)


def test_rows_of_two_tiers_of_memory_come_back_from_the_disk(tmp_path: Path) -> None:
    arena = Arena(COLUMNS, TierRows(3, 4, None), ACCELERATOR, BlockFile(tmp_path, "0", COLUMNS))
    add(arena, 9)
    arena.write_to_file(arena.length)
    arena.close()
    expected = [rows([number]) for number in range(9)]
    file = BlockFile(tmp_path, "0", COLUMNS, rows=9)
    check_runs(file.runs(NAMES, 0, 9, 2), expected, 0, 2)
    again = Arena(COLUMNS, TierRows(3, 4, None), ACCELERATOR, file)
    again.restore(0)
    add(again, 6)
    check_runs(again.scan(NAMES, 2), expected + [rows([number]) for number in range(9, 15)], 0, 2)
    assert again.rows_in() == {"device": 3, "host": 4, "disk": 8}
    again.close()
