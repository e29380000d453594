"""Contenders in another interpreter: what is asked and answered, and what goes wrong."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farspan.bench.peers import worker
from farspan.bench.peers.outside import Outside, PeerAbsent, Worker
from farspan.bench.race import GROUP, Turn
from farspan.errors import FarspanError, UsageError


@pytest.fixture(autouse=True)
def _sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "sides"))


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Worker]:
    with Worker(sys.executable, "echo_side", tmp_path / "log") as started:
        yield started


def test_a_worker_answers_line_by_line() -> None:
    class Side:
        def double(self, number: int) -> int:
            return 2 * number

    requests = io.StringIO('{"do": "double", "number": 4}\n{"do": "halve"}\n')
    answers = io.StringIO()
    worker.serve(Side(), requests, answers)
    first, second = map(json.loads, answers.getvalue().splitlines())
    assert first == {"value": 8}
    assert second["error"].startswith("AttributeError: 'Side' object has no attribute 'halve'")


def test_workers_import_nothing_of_farspan() -> None:
    for file in Path(worker.__file__).parent.glob("*_side.py"):
        assert "farspan" not in file.read_text(encoding="utf-8")
    assert "import farspan" not in Path(worker.__file__).read_text(encoding="utf-8")


def test_a_contender_outside(echo: Worker, tmp_path: Path) -> None:
    assert (echo.name, echo.version) == ("echo", "1.0")
    echo.ask("load", path="x")
    ids = list(range(10))
    peer = Outside(echo, ids, item_bytes=4, kept=0.5)
    assert echo.ask("asked") == [{"path": "x"}, ids]
    assert peer.write() == Turn(2.0 * GROUP, GROUP, 5.0)
    assert peer.read_on() == Turn(512.0, 512, 10 + 256.5)
    assert (tmp_path / "log").read_text() == "made\n"


def test_what_goes_wrong_is_told(echo: Worker) -> None:
    with pytest.raises(FarspanError, match=r"echo failed: ValueError: no room; try a shorter --peer-tokens"):
        echo.ask("fail")
    assert echo.ask("asked") == []
    for _ in range(2):
        with pytest.raises(FarspanError, match="echo ended: out of memory"):
            echo.ask("die")


def test_who_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PeerAbsent, match="not installed: No module named 'no_such_program'"):
        Worker(sys.executable, "lacking_side", tmp_path / "log")
    with pytest.raises(UsageError, match="nowhere/python cannot be started"):
        Worker("nowhere/python", "echo_side", tmp_path / "log")
    with pytest.raises(PeerAbsent, match=r"/echo is no Python: it answered '.*echo_side'"):
        Worker(shutil.which("echo") or "", "echo_side", tmp_path / "log")
    with pytest.raises(PeerAbsent, match=r"it cannot be begun: RuntimeError: libcuda.so.1 is not there"):
        Worker(sys.executable, "broken_side", tmp_path / "log")
