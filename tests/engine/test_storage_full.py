"""Where a tier or the disk is full, nothing is lost and the session can still be asked."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

import farspan
from farspan.errors import StorageFull
from farspan.types import Budget
from tests.engine.conftest import BOOK, Fed
from tests.engine.outcomes import check_outcome, outcome, uninterrupted
from tests.tiny import least_budget, model, random_ids


@pytest.mark.parametrize("method", ["full", "infllm", "topk"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_tier_leaves_a_session_to_ask(book: Path, tmp_path: Path, method: str, folder: bool) -> None:
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    budget = Budget(least, disk=3 * least)
    with model().session(method, budget, path=tmp_path / "kept" if folder else None, chunk=16) as session:
        with pytest.raises(StorageFull, match="full") as caught:
            session.read(book.with_name("book.txt"))
            session.read(random_ids(3000))
        assert caught.value.exit_code == 4 and caught.value.fix
        counts = session.counts
        assert counts.seen == counts.kept + counts.stored + counts.dropped > 100
        assert counts.kv_bytes["disk"] <= 3 * least
        with pytest.raises(StorageFull):
            session.read(random_ids(600))
        for _ in range(2):
            assert session.ask("what was it?", max_new_tokens=4).ids
    if folder:
        with farspan.open(tmp_path / "kept", model()) as opened:
            assert opened.ask("what was it?", max_new_tokens=4).ids


class FullDisk:
    """Writes of blocks fail from some call on, until it is repaired."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        self.write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, *arguments: Any, **_: Any) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(*arguments)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
@pytest.mark.parametrize("method", ["full", "infllm"])
def test_a_full_disk_loses_nothing(
    book: Path, tmp_path: Path, method: str, after: int, monkeypatch: pytest.MonkeyPatch, fed: Fed
) -> None:
    """When there is space again, reading goes on where it stopped."""
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    wanted = uninterrupted(book, method, 16, Budget(least))
    fed.take()
    with model().session(method, Budget(least), chunk=16) as session:
        disk = FullDisk(monkeypatch, after)
        for _ in range(2):
            with pytest.raises(StorageFull, match="full"):
                session.read(book)
        counts = session.counts
        assert counts.seen == counts.kept + counts.stored + counts.dropped == len(fed.ids)
        disk.left = 10**9
        session.read(book)
        assert fed.take() == [1, *model().encoder.encode(BOOK).ids]
        check_outcome(outcome(session), wanted)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=os.strerror)
def test_a_state_that_the_system_takes_no_more_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Safetensors tells it in words alone."""

    def refuse(*_: Any) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")

    with model().session("full", path=tmp_path / "kept", chunk=16) as session:
        session.read(random_ids(40))
        session.commit()
        monkeypatch.setattr("farspan.engine.store.save_file", refuse)
        with pytest.raises(StorageFull, match="stands at its last commit"):
            session.read(random_ids(40))
            session.commit()
    monkeypatch.undo()
    with farspan.open(tmp_path / "kept", model()) as opened:
        assert opened.counts.seen >= 40


def test_a_disk_that_fills_up_while_committing(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = uninterrupted(book, "infllm", 16)
    with model().session("infllm", path=tmp_path / "kept", chunk=16) as session, monkeypatch.context() as patched:
        disk = FullDisk(patched, 10**9)
        patched.setattr(Path, "write_text", disk)
        disk.left = 0
        with pytest.raises(StorageFull, match="full"):
            session.read(book)
    with farspan.open(tmp_path / "kept", model()) as opened:
        opened.read(book)
        check_outcome(outcome(opened), wanted)
