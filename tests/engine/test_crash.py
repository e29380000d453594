"""Killed with SIGKILL at any moment of reading, a session resumes at its last committed chunk and ends up the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import farspan
from farspan.errors import SessionError
from farspan.types import Budget
from tests.engine.conftest import BOOK
from tests.engine.outcomes import check_outcome, outcome, uninterrupted
from tests.tiny import least_budget, model

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def killed(work: Callable[[], object]) -> bool:
    """Do it in a child process; whether that was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def deadly(function: Callable[..., Any], calls: int, *, after: bool) -> Callable[..., Any]:
    """The function, until it has been called so often: then the process is killed, before or after the call."""
    left = calls

    def call(*arguments: Any, **keywords: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        out = function(*arguments, **keywords)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return out

    return call


def read_and_die(folder: Path, book: Path, method: str, budget: Budget, place: str, calls: int, after: bool) -> None:
    """Read with a commit after every chunk, and die at some call of a function of the system."""
    if place != "progress":
        setattr(os, place, deadly(getattr(os, place), calls, after=after))
    progress = deadly(lambda _: None, calls, after=after) if place == "progress" else None
    if (folder / "session.json").exists():
        session = farspan.open(folder, model())
    else:
        session = model().session(method, budget, path=folder, chunk=16)
    session.read(book, progress=progress)


@needs_fork
@pytest.mark.parametrize(
    ("place", "moments"),
    [("progress", (1, 2, 11)), ("replace", (1, 2, 3, 4, 9)), ("pwrite", (1, 5, 9))],
)
@pytest.mark.parametrize(("method", "after"), [("infllm", False), ("infllm", True), ("full", True)])
def test_killed_at_every_turn(
    tmp_path: Path,
    book: Path,
    method: str,
    place: str,
    moments: tuple[int, ...],
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several times on its way through one file."""
    monkeypatch.setattr("farspan.engine.store._SHARE", 0)
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    budget, folder = Budget(least), tmp_path / "kept"
    wanted = uninterrupted(book, method, 16, budget)
    deaths = sum(
        killed(lambda: read_and_die(folder, book, method, budget, place, calls, after))  # noqa: B023
        for calls in moments
    )
    assert deaths >= 1
    try:
        session = farspan.open(folder, model())
    except SessionError:
        assert not (folder / "session.json").exists()
        session = model().session(method, budget, path=folder, chunk=16)
    with session:
        session.read(book)
        assert [(file["complete"], file["chars"]) for file in session.files] == [(True, len(BOOK))]
        check_outcome(outcome(session), wanted)


SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.tiny import model
session = model().session("infllm", path=Path(sys.argv[1]), chunk=8)
session.read(Path(sys.argv[2]))
"""


def test_kill_9_from_outside(tmp_path: Path) -> None:
    book, folder = tmp_path / "long.txt", tmp_path / "kept"
    book.write_text(BOOK * 4, encoding="utf-8")
    reader = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(book)])
    begun = time.monotonic()
    try:
        while seen_in(folder) < 150 and reader.poll() is None and time.monotonic() - begun < 60:
            time.sleep(0.02)
    finally:
        reader.kill()
        assert reader.wait() == -signal.SIGKILL
    seen = seen_in(folder)
    assert seen >= 150
    with farspan.open(folder, model()) as session:
        assert session.counts.seen == seen
        session.read(book)
        found = outcome(session)
    check_outcome(found, uninterrupted(book, "infllm", 8))


@needs_fork
def test_a_session_without_a_folder_leaves_no_blocks_when_it_is_killed(book: Path, scratch: Path) -> None:
    def read() -> None:
        with model().session("infllm", chunk=8) as session:
            session.read(book)
            session._stream.kv.flush()
            assert any(scratch.rglob("layers"))
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(read)
    assert not [path for path in scratch.rglob("layers/*") if path.is_file()]


def seen_in(folder: Path) -> int:
    """How far the last commit came."""
    try:
        return int(json.loads((folder / "session.json").read_text())["counts"]["seen"])
    except FileNotFoundError:
        return 0
