"""Scratch folders are gone in the end, also those of a process that was killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farspan.folders import scratch_folder

WORKS = """
from pathlib import Path
from farspan.folders import scratch_folder
scratch = scratch_folder()
(Path(scratch.name) / "tokens").write_text("text")
print(scratch.name, flush=True)
input()
"""


@contextmanager
def working() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with something in a scratch folder, which ends when it gets a line."""
    process = subprocess.Popen([sys.executable, "-c", WORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scratch folders lie."""
    monkeypatch.setenv("FARSPAN_SCRATCH", str(tmp_path))
    return tmp_path


def test_what_a_killed_process_leaves_goes_when_another_begins(scratch: Path) -> None:
    with working() as (living, kept):
        with working() as (killed, left):
            killed.kill()
            killed.wait()
        assert (left / "tokens").is_file()
        with scratch_folder() as mine:
            assert not left.parent.exists()
            assert (kept / "tokens").is_file() and Path(mine).is_dir()
            assert set(scratch.iterdir()) == {kept.parent, Path(mine).parent}
        assert not Path(mine).exists()
        living.communicate("\n")
        assert not kept.parent.exists()


def test_a_folder_that_somebody_has_removed_is_made_again(scratch: Path) -> None:
    with scratch_folder() as first:
        pass
    Path(first).parent.rmdir()
    with scratch_folder() as second:
        assert Path(second).is_dir() and scratch in Path(second).parents


def test_what_is_no_folder_of_a_process_stays(scratch: Path) -> None:
    aim = scratch / "aim"
    aim.mkdir()
    (aim / "text").write_text("text")
    (scratch / "farspan-process-link").symlink_to(aim)
    (scratch / "farspan-process-file").write_text("text")
    with scratch_folder():
        assert (aim / "text").is_file() and (scratch / "farspan-process-file").is_file()
