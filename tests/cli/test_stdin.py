"""Standard input: a pipe is a document where no file is named."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farspan.cli import work
from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel

Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """Put a pipe with these bytes in the place of standard input."""
    streams: list[io.TextIOWrapper] = []

    def put(data: bytes) -> None:
        out, into = os.pipe()
        os.write(into, data)
        os.close(into)
        streams.append(io.TextIOWrapper(os.fdopen(out, "rb")))
        monkeypatch.setattr(sys, "stdin", streams[-1])

    yield put
    for stream in streams:
        stream.close()


def test_a_pipe_is_a_document(pipe: Pipe) -> None:
    pipe(b"a piped text")
    assert work.inputs([]) == ["-"]


def test_an_empty_pipe_is_said_to_be_empty(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(b"")
    assert work.inputs([]) == []
    assert "standard input is empty" in capsys.readouterr().err


def test_no_pipe_beside_files(pipe: Pipe, book: Path) -> None:
    pipe(b"a piped text")
    assert work.inputs([str(book)]) == [str(book)]


def test_nothing_is_read_from_the_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as null:
        monkeypatch.setattr(sys, "stdin", null)
        assert work.inputs([]) == []


def test_standard_input_by_name(run: Run, model: FakeModel) -> None:
    assert run("ask", "what?", "-f", "-", stdin="five words are in here").exit_code == 0
    assert model.sessions[0].seen == 5
    empty = run("ask", "what?", "-f", "-", stdin="")
    assert empty.exit_code == 3 and "empty" in empty.stderr


def test_a_folder_is_read_file_by_file(run: Run, model: FakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("alpha beta")
    (notes / "b.txt").write_text("gamma")
    (notes / "c.bin").write_bytes(bytes(range(256)) * 8)
    result = run("ask", "what?", "-f", notes)
    assert model.sessions[0].reads == [str(notes / "a.md"), str(notes / "b.txt")]
    assert "skipped: " in result.stderr and "c.bin" in result.stderr
