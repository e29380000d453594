"""Files that are uploaded."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from farspan.errors import InputError
from farspan.server.asked import NotFound
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


def added(files: Files, data: bytes = b"It was late.") -> str:
    """The id of a file that was uploaded."""
    return asyncio.run(files.add("me", "book.txt", "user_data", _pieces(data))).id


def test_a_file_without_its_data_is_not_found(app: TestClient) -> None:
    id_ = app.post("/v1/files", files={"file": ("book.txt", b"It was late.")}).json()["id"]
    (data,) = app.app.state.farspan.files.folder.glob(f"*/{id_}/data.txt")
    data.unlink()
    part = {"type": "file", "file": {"file_id": id_}}
    asked = app.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": [part]}]})
    assert asked.status_code == 404 and id_ in asked.json()["error"]["message"]
    app.post("/v1/sessions", json={"id": "bare"})
    assert app.post("/v1/sessions/bare/read", json={"file_id": id_}).status_code == 404
    assert app.get(f"/v1/files/{id_}/content").status_code == 404
    app.delete("/v1/sessions/bare")
    assert app.delete(f"/v1/files/{id_}").is_success


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(tmp_path, 1 << 20)
    id_ = added(files)
    (folder,) = (tmp_path / "me").iterdir()
    seen = []
    real = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: (seen.append(folder.exists()), real(path, **options)))
    files.delete("me", id_)
    assert seen == [False] and not list((tmp_path / "me").iterdir())
    with pytest.raises(NotFound):
        files.delete("me", id_)


def test_what_was_left_of_files_is_swept(tmp_path: Path) -> None:
    kept = added(Files(tmp_path, 1 << 20))

    async def killed() -> AsyncIterator[bytes]:
        yield b"It was"
        for left in (tmp_path / "me").glob(".*"):
            shutil.copytree(left, left.with_name(f"{left.name}0"))
        raise OSError

    with pytest.raises(OSError):
        asyncio.run(Files(tmp_path, 1 << 20).add("me", "book.txt", "user_data", killed()))
    (tmp_path / "me" / "file-without-about").mkdir()
    assert len(list((tmp_path / "me").iterdir())) == 3
    time.sleep(0.05)
    later = Files(tmp_path, 1 << 20)
    coming = tmp_path / "me" / ".unfinished-of-this-server"
    time.sleep(0.05)
    coming.mkdir()
    later.sweep()
    assert {path.name for path in (tmp_path / "me").iterdir()} == {kept, coming.name}
    assert later.document("me", kept).name == "book.txt"
