"""A document: a name, and its text in pieces, read when asked for and never held whole."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO, Self

from farspan import env
from farspan.errors import InputError, nearest
from farspan.text.formats import detect, reader
from farspan.text.shared import reader_of
from farspan.text.unicode import to_utf8

PIECE = 65_536
_CHUNK = 1 << 20

NoticeCallback = Callable[[str], None]
_Open = Callable[[], BinaryIO]


def log_notice(notice: str) -> None:
    """Where notices go when the caller does not ask for them: the logger `farspan.text`."""
    logging.getLogger("farspan.text").warning("%s", notice)


class Document:
    """A text with a name, as `open_documents` or one of the `from_...` makes it.

    `name` is what the user gave (a path, or "<stdin>"). Offsets count the characters of
    `"".join(pieces())`; for a plain text file that is the decoded file, its line ends untouched and without a
    byte order mark. Of the rest of a longer text, `rest` characters and newlines came before.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Iterable[str]],
        *,
        fingerprint: Callable[[], str],
        countable: bool = False,
        rest: tuple[int, int] = (0, 0),
    ) -> None:
        self.name = name
        self._fingerprint = fingerprint
        self.rest = rest
        self._read = read
        self._countable = countable

    def __repr__(self) -> str:
        return f"Document({self.name!r})"

    @cached_property
    def fingerprint(self) -> str:
        """Is equal when the text is the same: a hash of the bytes, of a file with its path.

        Raises InputError for a file that cannot be read to its end.
        """
        return self._fingerprint()

    @cached_property
    def total_chars(self) -> int | None:
        """The length of the text where finding it is cheap (a text file is decoded once), else None (a PDF)."""
        return sum(map(len, self._read())) if self._countable else None

    def pieces(self, start: int = 0) -> Iterator[str]:
        """The text from character `start` on, in order, in pieces of at most 64K characters.

        Raises InputError when the text cannot be read to its end, or has nothing but white space in it.
        """
        blank = True
        for piece in _regroup(self._read()):
            blank = blank and piece.isspace()
            if start < len(piece):
                yield piece[start:]
            start = max(start - len(piece), 0)
        if blank:
            raise InputError(f"{self.name} has no text in it", fix="give a file with text")

    def forgiving(self, notice: NoticeCallback) -> Document:
        """The same document, whose `pieces` end early with a notice where these would raise InputError."""
        return _Forgiving(self, notice)

    @classmethod
    def from_text(cls, text: str, name: str = "<text>", *, rest: tuple[int, int] = (0, 0)) -> Self:
        """A text that is in memory already, or the rest of one, before which so many characters and newlines came.

        InputError when it is blank or holds half of a surrogate pair.
        """
        if not text or text.isspace():
            raise InputError(f"the text {name} is empty ({len(text)} characters)", fix="give a text with words in it")
        whole = f"the text {name}"
        digest = _hash(to_utf8(text[at : at + _CHUNK], whole) for at in range(0, len(text), _CHUNK))
        return cls(name, lambda: (text,), fingerprint=lambda: f"text:{digest}", countable=True, rest=rest)

    @classmethod
    def from_path(
        cls,
        path: Path | str,
        *,
        name: str | None = None,
        fingerprint: str | None = None,
        notice: NoticeCallback = log_notice,
    ) -> Self:
        """A file of any format that farspan reads, called by its path or by `name`; a pipe is read like standard input.

        Who knows a `fingerprint` gives it, and the file is not read for one.

        Raises InputError when it has no name, is missing, a folder, not permitted, empty, or binary. While reading,
        `notice` is told what was read but not as it stands.
        """
        if not str(path):
            raise InputError("the name of a file is empty", fix="name a file or folder")
        name, path = name or str(path), Path(path)
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                raise InputError(f"{name} is a folder", fix="read it with farspan.text.open_documents")
            file = path.open("rb")
        except FileNotFoundError:
            raise _missing(name, path) from None
        except OSError as error:
            raise _unreadable(name, error) from error
        with file:
            if not stat.S_ISREG(found.st_mode):
                return cls.from_stdin(file, name, notice=notice)
            kind = _kind(file, name)
        real = path.resolve()
        return cls._of_file(
            name, kind, lambda: path.open("rb"), lambda: fingerprint or f"file:{_hash_file(real, name)}:{real}", notice
        )

    @classmethod
    def from_stdin(
        cls, stream: IO[bytes] | IO[str], name: str = "<stdin>", *, notice: NoticeCallback = log_notice
    ) -> Self:
        """A stream of any format, read to its end into a temporary file (in FARSPAN_SCRATCH if that is set).

        Raises InputError when it is empty, binary or cannot be read, and OSError when it cannot be kept there.
        """
        folder = env.scratch_folder()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the document)
            digest = _hash(_copied(_chunks(getattr(stream, "buffer", stream), name), file))
        except OSError as error:
            error.filename = error.filename or str(folder or tempfile.gettempdir())
            raise
        kind = detect(file, name)
        document = cls._of_file(name, kind, lambda: reader_of(file), lambda: f"stream:{digest}", notice)
        weakref.finalize(document, file.close)
        return document

    @classmethod
    def _of_file(
        cls, name: str, kind: str, open_file: _Open, fingerprint: Callable[[], str], notice: NoticeCallback
    ) -> Self:
        def read() -> Iterator[str]:
            try:
                with open_file() as file:
                    yield from reader(kind)(file, name, notice)
            except OSError as error:
                raise _unreadable(name, error) from error

        return cls(name, read, fingerprint=fingerprint, countable=kind == "plain")


class _Forgiving(Document):
    def __init__(self, document: Document, notice: NoticeCallback) -> None:
        super().__init__(
            document.name, document._read, fingerprint=document._fingerprint, countable=document._countable
        )
        self._notice = notice

    def pieces(self, start: int = 0) -> Iterator[str]:
        try:
            yield from super().pieces(start)
        except InputError as error:
            self._notice(f"skipped: {error.message}")


def _regroup(parts: Iterable[str]) -> Iterator[str]:
    waiting: list[str] = []
    length = 0
    for part in parts:
        waiting.append(part)
        length += len(part)
        if length >= PIECE:
            text = "".join(waiting)
            whole = length - length % PIECE
            yield from (text[at : at + PIECE] for at in range(0, whole, PIECE))
            waiting, length = [text[whole:]], length - whole
    if length:
        yield "".join(waiting)


def _kind(file: BinaryIO, name: str) -> str:
    try:
        return detect(file, name)
    except OSError as error:
        raise _unreadable(name, error) from error


def _hash(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()[:32]


def _hash_file(path: Path, name: str) -> str:
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(name, error) from error
    with file:
        return _hash(_chunks(file, name))


def _chunks(stream: IO[bytes] | IO[str], name: str) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK):
            yield chunk if isinstance(chunk, bytes) else chunk.encode()
    except OSError as error:
        raise _unreadable(name, error) from error


def _copied(chunks: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk
    file.flush()


def _unreadable(name: str, error: OSError) -> InputError:
    reason = (error.strerror or str(error)).lower()
    return InputError(f"{name} cannot be read: {reason}", fix=f"check it with: ls -l {name}")


def _missing(name: str, path: Path) -> InputError:
    if path.is_symlink():
        return InputError(
            f"{name} is a link to {os.readlink(path)}, which does not exist",
            fix="mend the link, or name the file itself",
        )
    return InputError(f"{name} does not exist", fix=_similar(path))


def _similar(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"check the folder too: {path.parent} does not exist or cannot be listed"
    hint = nearest(path.name, names).partition("known: ")[0].strip()
    return hint or "check the path"
