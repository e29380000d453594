"""Where the system takes no more bytes, the server says that its disk is full, and goes on when there is room again."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import FACT, filler
from tests.server.test_abuse import error_of

resource = pytest.importorskip("resource")
MOST = 20 << 10
LONG = filler(100)


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow longer than MOST: no pretending, the kernel refuses it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def check_full(reply: httpx.Response) -> None:
    """It says that the disk is full."""
    error = error_of(reply, 507)
    assert (error["type"], error["code"]) == ("server_error", "storage_full")
    assert "disk" in str(error["message"])


@pytest.mark.parametrize("size", [300 << 10, 3 << 20], ids=["in memory", "by way of a file"])
def test_an_upload_finds_the_disk_full(app: TestClient, size: int, caplog: pytest.LogCaptureFixture) -> None:
    folder = app.app.state.farspan.files.folder
    with small_files():
        check_full(app.post("/v1/files", files={"file": ("book.txt", b"It was late.\n" * (size // 13))}))
    assert "File too large" in caplog.text
    assert not [path for path in folder.rglob("*") if path.is_file()]
    stored = app.post("/v1/files", files={"file": ("book.txt", FACT.encode())})
    assert app.delete(f"/v1/files/{stored.json()['id']}").is_success


def test_a_response_finds_the_disk_full(app: TestClient) -> None:
    asked = {"input": LONG, "max_output_tokens": 2}
    with small_files():
        check_full(app.post("/v1/responses", json=asked))
        streamed = app.post("/v1/responses", json={**asked, "stream": True})
    assert '"storage_full"' in streamed.text
    assert not list(app.app.state.farspan.responses.folder.rglob("*.new"))
    assert app.post("/v1/responses", json=asked).is_success


def test_a_session_finds_the_disk_full(app: TestClient) -> None:
    app.post("/v1/sessions", json={"id": "full"})
    with small_files():
        read = app.post("/v1/sessions/full/read", json={"text": LONG})
    assert error_of(read, 507)["code"] == "storage_full"
    assert app.post("/v1/sessions/full/read", json={"text": LONG}).is_success
    assert app.delete("/v1/sessions/full").is_success


def test_there_is_no_place_for_what_is_uploaded(
    app: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is wrong with the server is not laid to the client."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    error_of(app.post("/v1/files", files={"file": ("book.txt", b"late\n" * (1 << 19))}), 500)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=os.strerror)
def test_what_a_library_tells_in_words_is_a_full_disk(
    app: TestClient, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError(f"I/O error: {os.strerror(number)} (os error {number})")

    monkeypatch.setattr(app.app.state.farspan.files, "all", refuse)
    check_full(app.get("/v1/files"))
