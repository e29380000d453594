"""Files that are uploaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farspan.errors import InputError
from farspan.server.files import Files
from farspan.text import Document


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def document(folder: Path, name: str, data: bytes) -> Document:
    """A file that was uploaded, to be read."""
    files = Files(folder, 1 << 20)
    return files.document("me", asyncio.run(files.add("me", name, "user_data", _pieces(data))).id)


def test_what_is_wrong_with_a_file_names_it_as_it_was_uploaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^bad\.bin is a binary file"):
        document(tmp_path, "bad.bin", b"\0\1\2\xff")
    assert not list((tmp_path / "me").iterdir())
    damaged = document(tmp_path, "bad.pdf", b"%PDF-1.4 nonsense")
    assert damaged.name == "bad.pdf"
    with pytest.raises(InputError, match=r"^bad\.pdf is a damaged PDF"):
        list(damaged.pieces())


def test_the_same_file_again_is_the_same_text_wherever_it_lies(tmp_path: Path) -> None:
    first, second = (document(tmp_path, "book.txt", b"It was late.") for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert str(tmp_path) not in first.fingerprint
    others = document(tmp_path, "other.txt", b"It was late."), document(tmp_path, "book.txt", b"It was early.")
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 3
