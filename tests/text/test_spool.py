"""The text spool quotes any span and counts any line, and comes back after a crash."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.errors import SessionError, StorageFull
from farspan.text import Place, TextSpool, spool

SAMPLE = "line é one\nzwei 漢字\n🦜\r\n"
ALPHABET = st.text(alphabet="ab\né漢🦜\r", max_size=40)


@pytest.fixture(autouse=True)
def small_stride(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "STRIDE", 7)


def filled(folder: Path, texts: list[list[str]]) -> TextSpool:
    result = TextSpool(folder)
    for number, pieces in enumerate(texts):
        result.begin(f"doc{number}", f"mark{number}")
        for piece in pieces:
            result.append(piece)
        result.finish()
    return result


def check(result: TextSpool, texts: list[list[str]]) -> None:
    documents = ["".join(pieces) for pieces in texts]
    whole = "".join(documents)
    assert result.chars == len(whole)
    for start in range(0, len(whole) + 1, 3):
        for end in range(start, len(whole) + 1, 5):
            assert result.slice(start, end) == whole[start:end]
    start = 0
    for number, text in enumerate(documents):
        assert result.document(number)[:4] == (f"doc{number}", f"mark{number}", start, start + len(text))
        for offset in range(len(text)):
            line = text[:offset].count("\n") + 1
            assert result.place(start + offset) == Place(number, f"doc{number}", offset, line)
        start += len(text)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.lists(ALPHABET, max_size=3), min_size=1, max_size=3), data=st.data())
def test_slices_places_reopening_and_truncation(texts: list[list[str]], data: Any, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("spool")
    result = filled(folder, texts)
    check(result, texts)
    state = json.loads(json.dumps(result.state_dict()))
    result.begin("later")
    result.append(SAMPLE * 5)
    result.close()
    again = TextSpool(folder, state)
    check(again, texts)
    whole = again.slice(0, again.chars)
    cut = data.draw(st.integers(0, len(whole)))
    again.truncate(cut)
    assert again.slice(0, len(whole)) == whole[:cut]
    again.begin("new")
    again.append(SAMPLE)
    assert again.slice(0, len(whole) + 99) == whole[:cut] + SAMPLE
    assert again.place(cut + len(SAMPLE) - 1).line == 3
    check_state = again.state_dict()
    again.close()
    assert TextSpool(folder, check_state).slice(cut, cut + len(SAMPLE)) == SAMPLE


def test_unfinished_documents(tmp_path: Path) -> None:
    result = TextSpool(tmp_path)
    assert result.unfinished is None
    result.begin("a", "mark")
    result.append("half")
    state = result.state_dict()
    assert result.unfinished == ("a", "mark", 0, 4, 0, 0, 0)
    result.finish()
    assert result.unfinished is None
    again = TextSpool(tmp_path, state)
    assert again.unfinished == ("a", "mark", 0, 4, 0, 0, 0)
    again.finish()
    again.truncate(2)
    assert again.unfinished == ("a", "mark", 0, 2, 0, 0, 0)


def test_a_copy_goes_its_own_way(tmp_path: Path) -> None:
    first = filled(tmp_path / "a", [[SAMPLE]])
    copy = first.copy_to(tmp_path / "b")
    first.begin("x")
    first.append("more")
    copy.begin("y")
    copy.append("other")
    assert first.slice(len(SAMPLE), 99) == "more"
    assert copy.slice(len(SAMPLE), 99) == "other"


def test_a_damaged_spool(tmp_path: Path) -> None:
    state = filled(tmp_path, [[SAMPLE]]).state_dict()
    path = tmp_path / "text.utf8"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SessionError, match="holds 29 of the 30 bytes"):
        TextSpool(tmp_path, state)


def test_a_full_disk_leaves_the_spool_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = filled(tmp_path, [["abc"]])

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            self.file.write(data[:1])
            raise OSError(errno.ENOSPC, "No space left on device")

    for broken in ("_text", "_index"):
        append_file = getattr(result, broken)
        with monkeypatch.context() as patch:
            patch.setattr(append_file, "_file", Full(append_file._file))
            with pytest.raises(StorageFull, match="no room for"):
                result.append("d" * 20)
        result.truncate(3)
        assert (result.chars, result.slice(0, 99)) == (3, "abc")
    result.append("def\n")
    assert TextSpool(tmp_path, result.state_dict()).slice(0, 99) == "abcdef\n"
