"""Which encoding a text file has, and its text in parts."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

_SAMPLE = 65_536
_CHUNK = 65_536
_FEW = 32  # accents too few for statistics: among ASCII letters they are most likely Western European
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def detect_encoding(file: BinaryIO) -> str | None:
    """The encoding of a text file: by its mark, UTF-8 where it fits, else by its letters; None for a binary file.

    What decides is the first 64K with a character that is not ASCII.
    """
    file.seek(0)
    head = file.read(_SAMPLE)
    if marked := marked_encoding(head):
        return marked
    if b"\0" in head:
        return None
    while (found := _NOT_ASCII.search(head)) is None:
        head = file.read(_SAMPLE)
        if not head:
            return "utf-8"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _guess(head[max(found.start() - 1000, 0) :])
    return "utf-8"


def _guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    strange = len(_NOT_ASCII.findall(sample))
    if strange < _FEW and 4 * strange < len(sample) and _fits(sample, "cp1252"):
        return "cp1252"
    if b"\n" in sample:
        sample = sample[: sample.rindex(b"\n") + 1] if _NOT_ASCII.search(sample[: sample.rindex(b"\n")]) else sample
    best = from_bytes(sample).best()
    return None if best is None else best.encoding


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def decoded(file: BinaryIO, encoding: str, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The text of a file from its beginning; bytes that do not fit become U+FFFD, and `notice` hears how many."""
    file.seek(0)
    strict, lenient = (codecs.getincrementaldecoder(encoding)(errors) for errors in ("strict", "replace"))
    strange, final = 0, False
    while not final:
        chunk = file.read(_CHUNK)
        final = not chunk
        state = strict.getstate()
        try:
            text = strict.decode(chunk, final)
        except UnicodeDecodeError:
            lenient.setstate(state)
            text = lenient.decode(chunk, final)
            strict.setstate(lenient.getstate())
            strange += text.count("\ufffd")
        if text:
            yield text
    if strange:
        notice(f"{name}: {strange} places are not {encoding} and were read as U+FFFD")
