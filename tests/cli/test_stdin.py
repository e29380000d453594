"""Standard input: a pipe is a document where no file is named and no session has read one."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import farspan
from farspan import readers
from farspan.cli import piped
from farspan.text import Document
from farspan.types import Progress
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


@contextmanager
def ended_after(seconds: int) -> Iterator[None]:
    """Raise TimeoutError where a pipe is waited for that nobody writes into."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def told() -> list[str]:
    """The lines that were written for the user."""
    return []


def test_a_pipe_is_a_document(pipe: Pipe, told: list[str]) -> None:
    pipe(b"a piped text")
    assert piped.piped(None, told.append) == ["-"]
    assert told == []


def test_an_empty_pipe_is_said_to_be_empty(pipe: Pipe, told: list[str]) -> None:
    pipe(b"")
    assert piped.piped(None, told.append) == []
    assert "standard input is empty" in told[0]


def test_a_pipe_that_stays_silent_is_said_to_be_waited_for(
    monkeypatch: pytest.MonkeyPatch, told: list[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(piped, "PATIENCE_S", 0.0)
    out, into = os.pipe()

    def end(line: str) -> None:
        told.append(line)
        os.write(into, b"at last")

    with os.fdopen(into, "wb"), io.TextIOWrapper(os.fdopen(out, "rb")) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert piped.piped(None, end) == ["-"]
    assert len(told) == 1 and "</dev/null" in told[0]


def test_no_pipe_beside_files(run: Run, model: FakeModel, book: Path) -> None:
    assert run("ask", "what?", "-f", book, stdin="five words are in here").exit_code == 0
    assert model.sessions[0].reads == [str(book)]


def test_nothing_is_read_from_the_null_device(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    with Path(os.devnull).open() as null:
        monkeypatch.setattr(sys, "stdin", null)
        assert piped.piped(None, told.append) == []


@pytest.mark.parametrize("files", [[{"complete": True}], None])
def test_a_session_that_has_read_leaves_the_pipe_alone(
    pipe: Pipe, told: list[str], tmp_path: Path, files: list[dict[str, bool]] | None
) -> None:
    (tmp_path / "session.json").write_text(json.dumps({"files": files}))  # None: a damaged record
    pipe(b"the next question")
    assert piped.piped(tmp_path, told.append) == []
    assert os.read(sys.stdin.fileno(), 99) == b"the next question"
    assert "-f - reads it too" in told[0]
    assert piped.piped(tmp_path, told.append) == [] and len(told) == 1  # there is nothing to tell of


@pytest.mark.parametrize("files", [[], [{"complete": False}]])
def test_a_session_that_has_read_no_whole_text_reads_the_pipe(
    pipe: Pipe, told: list[str], tmp_path: Path, files: list[dict[str, bool]]
) -> None:
    (tmp_path / "session.json").write_text(json.dumps({"files": files}))
    pipe(b"the whole of it")
    assert piped.piped(tmp_path, told.append) == ["-"]


def test_an_answer_from_no_text_is_said_to_be_one(run: Run, model: FakeModel, book: Path) -> None:
    assert "no text was read" in run("what?").stderr
    assert "no text was read" not in run("what?", "-q").stderr
    assert "no text was read" not in run("what?", "-f", book).stderr


def test_standard_input_by_name(run: Run, model: FakeModel) -> None:
    assert run("ask", "what?", "-f", "-", stdin="five words are in here").exit_code == 0
    assert model.sessions[0].seen == 5
    empty = run("ask", "what?", "-f", "-", stdin="")
    assert empty.exit_code == 3 and "empty" in empty.stderr


def test_a_long_pipe_is_read_to_its_end() -> None:
    text = "".join(f"day {number} " for number in range(22_000))
    told: list[Progress] = []
    document = Document.from_stdin(io.BytesIO(text.encode()))
    with closing(readers.begin_session(farspan.load(), "gemfilter")) as session:
        session.read(document, told.append)
        assert [(file["chars"], file["complete"]) for file in session.files] == [(len(text), True)]
    assert told[-1].chars == told[-1].total_chars == len(text) > 200_000


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that somebody writes five words into, once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = subprocess.Popen(["sh", "-c", 'echo five words are in here >"$0"', str(path)])
    yield path
    writer.kill()
    writer.wait()


def test_a_pipe_with_a_name_is_read_once(run: Run, model: FakeModel, fifo: Path) -> None:
    with ended_after(20):
        result = run("ask", "what?", "-f", fifo)
    assert result.exit_code == 0, result.stderr
    assert (model.sessions[0].reads, model.sessions[0].seen) == ([str(fifo)], 5)


def test_chat_reads_a_pipe_with_a_name(run: Run, model: FakeModel, fifo: Path) -> None:
    with ended_after(20):
        result = run("chat", stdin=f"/read {fifo}\n")
    assert "error" not in result.stderr
    assert (model.sessions[0].reads, model.sessions[0].seen) == ([str(fifo)], 5)


def test_a_pipe_of_the_shell_is_read(run: Run, model: FakeModel) -> None:
    out, into = os.pipe()
    os.write(into, b"five words are in here")
    os.close(into)
    with os.fdopen(out, "rb"):
        result = run("ask", "what?", "-f", f"/dev/fd/{out}")
    assert result.exit_code == 0, result.stderr
    assert model.sessions[0].seen == 5


def test_a_folder_is_read_file_by_file(run: Run, model: FakeModel, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("alpha beta")
    (notes / "b.txt").write_text("gamma")
    (notes / "c.bin").write_bytes(bytes(range(256)) * 8)
    result = run("ask", "what?", "-f", notes)
    assert model.sessions[0].reads == [str(notes / "a.md"), str(notes / "b.txt")]
    assert "skipped: " in result.stderr and "c.bin" in result.stderr
