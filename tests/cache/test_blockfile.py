"""Rows on disk: what was written is read, a crash is cut off, a full disk loses nothing, memory does not grow."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.cache.blockfile import BlockFile
from farspan.cache.columns import Column, row_bytes
from farspan.errors import SessionError, StorageFull
from tests.cache.rows import COLUMNS, NAMES, check_runs, rows


def filled(folder: Path, count: int, origin: int = 0) -> BlockFile:
    file = BlockFile(folder, "000", COLUMNS, origin)
    file.append(rows(range(origin, origin + count)))
    return file


def test_a_file_that_could_not_be_opened_is_opened_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, opened = [1], os.open

    def open_one(*given: Any, **named: Any) -> int:
        if not left:
            raise OSError(errno.EMFILE, "Too many open files")
        left.pop()
        return opened(*given, **named)

    file = BlockFile(tmp_path, "000", COLUMNS)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_one)
        with pytest.raises(OSError, match="Too many"):
            file.append(rows(range(3)))
        assert file.open_files == 0
    file.append(rows(range(3)))
    assert file.open_files == len(COLUMNS)
    check_runs(file.runs(NAMES, 0, 3, 3), [rows([number]) for number in range(3)], 0, 3)
    file.close()
    assert file.open_files == 0


@settings(max_examples=30, deadline=None)
@given(origin=st.integers(0, 9), parts=st.lists(st.integers(1, 7), min_size=1, max_size=6), data=st.data())
def test_it_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, origin: int, parts: list[int], data: st.DataObject
) -> None:
    file = BlockFile(tmp_path_factory.mktemp("file"), "003", COLUMNS, origin)
    for count in parts:
        file.append(rows(range(file.end, file.end + count)))
        low, high = sorted(data.draw(st.tuples(*[st.integers(origin, file.end)] * 2)))
        expected = [rows([number]) for number in range(high)]
        if low < high:
            check_runs(file.runs(NAMES, low, high, 3), expected, low, 3)
        at = data.draw(st.lists(st.integers(origin, file.end - 1), min_size=1, max_size=9))
        heads = torch.arange(len(at)) % 2
        for name in NAMES:
            wanted = torch.stack([rows([n])[name][h, 0] for n, h in zip(at, heads.tolist(), strict=True)])
            assert torch.equal(file.gather(name, torch.tensor(at), heads), wanted)
    assert len(file) == sum(parts) and file.nbytes() == len(file) * row_bytes(COLUMNS)
    file.close()


def test_nameless_files_are_read_and_written_but_leave_nothing_behind(tmp_path: Path) -> None:
    file = BlockFile(tmp_path, "000", COLUMNS, nameless=True)
    for start in (0, 3):
        file.append(rows(range(start, start + 3)))
        assert list(tmp_path.iterdir()) == []
    check_runs(file.runs(NAMES, 0, 6, 4), [rows([number]) for number in range(6)], 0, 4)
    assert torch.equal(file.gather(NAMES[0], torch.tensor([4]), torch.tensor([1]))[0], rows([4])[NAMES[0]][1, 0])


def test_what_lies_beyond_the_rows_is_cut_off(tmp_path: Path) -> None:
    filled(tmp_path, 9).close()
    file = BlockFile(tmp_path, "000", COLUMNS, rows=4)
    sizes = {path.suffix[1:]: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {column.name: 9 * column.row_bytes for column in COLUMNS}, "opening changes nothing"
    check_runs(file.runs(NAMES, 0, 4, 10), [rows([number]) for number in range(4)], 0, 10)
    file.append(rows([70, 71]))
    expected = [rows([number]) for number in (0, 1, 2, 3, 70, 71)]
    check_runs(file.runs(NAMES, 0, 6, 10), expected, 0, 10)
    sizes = {path.suffix[1:]: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {column.name: 6 * column.row_bytes for column in COLUMNS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_a_truncated_file_is_noticed(tmp_path: Path, name: str, damage: str) -> None:
    filled(tmp_path, 5).close()
    path = tmp_path / f"000.{name}"
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size - 1 if damage == "cut" else 0)
    with pytest.raises(SessionError, match=f"000.{name} is truncated") as caught:
        BlockFile(tmp_path, "000", COLUMNS, rows=5)
    assert caught.value.fix


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("failing", [1, 2, 3, 4])
def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, failing: int) -> None:
    file = filled(tmp_path, 4)
    real, calls = os.pwrite, 0

    def pwrite(handle: int, data: Any, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == failing:
            return real(handle, bytes(data)[:5], offset)
        if calls > failing:
            raise OSError(code, os.strerror(code))
        return real(handle, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", pwrite)
        if failing == 4:
            file.append(rows([4, 5]))
            return
        with pytest.raises(StorageFull, match="is full") as caught:
            file.append(rows([4, 5]))
    assert caught.value.fix and isinstance(caught.value, OSError)
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {4 * column.row_bytes for column in COLUMNS}
    check_runs(file.runs(NAMES, 0, 4, 10), [rows([number]) for number in range(4)], 0, 10)
    file.append(rows([4, 5]))
    check_runs(file.runs(NAMES, 0, 6, 10), [rows([number]) for number in range(6)], 0, 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_limit_of_the_system_is_a_full_disk(tmp_path: Path) -> None:
    """No pretending: the kernel refuses to let the file grow."""
    resource = pytest.importorskip("resource")
    child = os.fork()
    if child == 0:
        outcome = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (5 * COLUMNS[0].row_bytes + 7,) * 2)
            file = filled(tmp_path, 4)
            with pytest.raises(StorageFull):
                file.append(rows(range(4, 9)))
            check_runs(file.runs(NAMES, 0, 4, 10), [rows([number]) for number in range(4)], 0, 10)
            outcome = 0
        finally:
            os._exit(outcome)
    assert os.waitpid(child, 0)[1] == 0


def test_another_fault_of_the_disk_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = filled(tmp_path, 2)

    def pwrite(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="Input/output error") as caught:
        file.append(rows([2]))
    assert not isinstance(caught.value, StorageFull)
    assert len(file) == 2


def mapped_bytes() -> int:
    """Bytes of mapped files that this process has in memory."""
    match = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_pages_that_were_read_are_given_back(tmp_path: Path) -> None:
    columns = (Column("k", 2, (64, 64), torch.float32),)
    file = BlockFile(tmp_path, "000", columns)
    for _ in range(16):
        file.append({"k": torch.randn(2, 128, 64, 64)})
    assert file.nbytes() == 64 << 20
    before, most = mapped_bytes(), 0
    for _, part in file.runs(("k",), 0, len(file), 64):
        assert part["k"].isfinite().all()
        most = max(most, mapped_bytes())
    file.gather("k", torch.arange(0, len(file), 2), torch.zeros(len(file) // 2, dtype=torch.int64))
    assert most - before < 8 << 20
    del part
    assert mapped_bytes() - before < 4 << 20
    file.close()


def test_it_closes_while_a_view_is_held(tmp_path: Path) -> None:
    """An exception on its way up holds the frames, and views in them, that it came through."""
    file = filled(tmp_path, 4)
    runs = file.runs(NAMES, 0, 4, 4)
    _, held = next(runs)
    file.close()
    assert torch.equal(held["v"], rows(range(4))["v"])
    del held, runs
    assert not [name for name in open_files() if name.startswith(str(tmp_path))]


def open_files() -> list[str]:
    """The files that this process holds open, where the system tells."""
    handles = Path("/proc/self/fd")
    return [os.path.realpath(path) for path in handles.iterdir()] if handles.exists() else []
