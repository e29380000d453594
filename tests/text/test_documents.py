"""Documents: names, encodings, pieces, lengths, fingerprints, and errors for what cannot be read."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from farspan.errors import InputError
from farspan.text import Document

FRENCH = "Où est le café ? Près de la forêt, à côté de l'hôtel où naît la fierté.\n" * 40


def text_of(document: Document) -> str:
    return "".join(document.pieces())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str) -> None:
    text = FRENCH.replace("\n", "\r\n")
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(encoding))
    document = Document.from_path(path)
    assert text_of(document) == text
    assert document.total_chars == len(text)
    assert document.name == str(path)


@pytest.mark.parametrize("text", ["naïve", "Où est-il?", "Café crème\n", "10 £ or 12 €"])
def test_a_few_accents_are_western(text: str) -> None:
    assert text_of(Document.from_stdin(io.BytesIO(text.encode("cp1252")))) == text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Вышел месяц из тумана, вынул ножик из кармана.\n"),
        (
            "shift_jis",
            "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で"
            "ニャーニャー泣いていた事だけは記憶している。吾輩はここで始めて人間というものを見た。\n",
        ),
        (
            "gb18030",
            "话说天下大势分久必合合久必分。周末七国分争并入于秦。及秦灭之后楚、汉分争又并入于汉。\n",
        ),
    ],
)
def test_other_scripts_in_old_encodings(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes((text * 30).encode(encoding))
    assert text_of(Document.from_path(path)) == text * 30


def test_an_accent_far_behind_the_beginning_decides(tmp_path: Path) -> None:
    text = "plain words only\n" * 10_000 + FRENCH
    path = tmp_path / "late.txt"
    path.write_bytes(text.encode("cp1252"))
    assert text_of(Document.from_path(path)) == text


def test_pieces_are_bounded_and_begin_anywhere(tmp_path: Path) -> None:
    text = "".join(f"line {number} é\n" for number in range(30_000))
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    document = Document.from_path(path)
    assert max(map(len, document.pieces())) <= 65_536
    for start in (0, 1, 65_535, 65_536, 65_537, 200_000, len(text)):
        assert "".join(document.pieces(start)) == text[start:]


def test_stray_bytes_are_replaced_and_told(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes("é good\n".encode() * 20_000 + b"bad \xff byte\n" + "漢 end".encode())
    notices: list[str] = []
    text = text_of(Document.from_path(path, notice=notices.append))
    assert text == "é good\n" * 20_000 + "bad \ufffd byte\n漢 end"
    assert notices == [f"{path}: 1 places are not utf-8 and were read as U+FFFD"]


def test_fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = Document.from_path(path).fingerprint
    monkeypatch.chdir(tmp_path)
    assert Document.from_path("a.txt").fingerprint == first
    os.utime(path, ns=(1, 1))
    assert Document.from_path(path).fingerprint == first  # the text is the same
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert Document.from_path(path).fingerprint != first
    assert Document.from_path(path, fingerprint="known").fingerprint == "known"
    assert Document.from_text("x").fingerprint == Document.from_text("x", "other").fingerprint
    assert Document.from_text("x").fingerprint != Document.from_text("y").fingerprint
    assert Document.from_stdin(io.BytesIO(b"x")).fingerprint == Document.from_stdin(io.StringIO("x")).fingerprint


def test_from_text() -> None:
    document = Document.from_text("a\r\nb")
    assert (document.name, document.total_chars, text_of(document)) == ("<text>", 4, "a\r\nb")
    for text in ("", " \n", "bad \ud800"):
        with pytest.raises(InputError):
            Document.from_text(text)
    with pytest.raises(InputError, match="half of a surrogate pair"):
        Document.from_text("bad \ud800")


def test_a_stream_that_cannot_be_kept_is_no_fault_of_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("FARSPAN_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"a text",))
    writer.start()
    for read in (lambda: Document.from_stdin(io.BytesIO(b"a text")), lambda: Document.from_path(tmp_path / "pipe")):
        with pytest.raises(OSError) as caught:
            read()
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "scratch"))
    writer.join()


def test_a_stream_that_cannot_be_read_is_an_input_error() -> None:
    class Broken(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(InputError, match="<stdin> cannot be read: input/output error"):
        Document.from_stdin(Broken())


def test_from_stdin_reads_twice_and_knows_its_length() -> None:
    document = Document.from_stdin(io.BytesIO("héllo\r\n".encode()))
    assert document.name == "<stdin>"
    assert text_of(document) == text_of(document) == "héllo\r\n"
    assert document.total_chars == 7
    with pytest.raises(InputError, match="<stdin> is empty"):
        Document.from_stdin(io.BytesIO(b""))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_stream_is_read_by_several_at_once(encoding: str) -> None:
    text = "".join(f"line {number} é\n" for number in range(20_000))
    document = Document.from_stdin(io.BytesIO(text.encode(encoding)))
    first, second = document.pieces(), document.pieces()
    begun, also = next(first), next(second)
    assert document.total_chars == len(text)
    assert document.fingerprint == Document.from_stdin(io.BytesIO(text.encode(encoding))).fingerprint
    begun, also = begun + next(first), also + next(second)
    assert begun + "".join(first) == also + "".join(second) == text_of(document) == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("through the pipe",))
    writer.start()
    assert text_of(Document.from_path(path)) == "through the pipe"
    writer.join()


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))
    (tmp_path / "noise").write_bytes(bytes(range(129, 256)) * 40)
    for name, said in {
        "note.txt": "note.txt does not exist; did you mean 'notes.txt'?",
        "no/such/file": "does not exist; check the folder too",
        "empty.txt": r"is empty \(0 bytes\)",
        "picture.png": "is a binary file: its first 272 bytes",
        "noise": "is a binary file: its first 5080 bytes",
        ".": "is a folder",
    }.items():
        with pytest.raises(InputError, match=said):
            Document.from_path(tmp_path / name)
    with pytest.raises(InputError, match="has no text in it"):
        list(Document.from_path(tmp_path / "blank.txt").pieces())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"notes\.txt cannot be read: permission denied"):
        Document.from_path(tmp_path / "notes.txt")


def test_a_large_file_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    line = "The lighthouse keeper counted the waves é.\n" * 1000
    with path.open("w", encoding="utf-8") as file:
        for _ in range(64 * 2**20 // len(line)):
            file.write(line)
    script = (
        "import resource, sys\nfrom farspan.text import Document, TextSpool\nfrom pathlib import Path\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "spool = TextSpool(Path(sys.argv[2]))\nspool.begin('x')\nbefore = peak()\n"
        "document = Document.from_path(sys.argv[1])\n"
        "for piece in document.pieces():\n    spool.append(piece)\n"
        "assert spool.chars == document.total_chars\nprint(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(tmp_path / "spool")], capture_output=True, text=True, check=True
    )
    assert path.stat().st_size > 60 * 2**20
    assert int(done.stdout) < 24, "MiB of memory while reading 64 MiB"
