"""A server under load: what is counted, and what happens when it answers badly, dies or is slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farspan.bench.serving import load as loading
from farspan.bench.serving import served as serving
from farspan.bench.serving.load import beside, load
from farspan.bench.serving.served import Served, ServerEnded
from farspan.bench.serving.threads import Threads
from farspan.errors import FarspanError
from tests.bench.stand_in_server import Answers, stand_in

CHARS = 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Served, Answers]]:
    with stand_in(tmp_path / "log") as found:
        yield found


def test_what_is_counted(server: tuple[Served, Answers]) -> None:
    found = load(server[0], 3, 2, CHARS, 0.6)
    assert (found.clients, found.documents, found.errors, found.first_error) == (3, 2, 0, "")
    assert found.answers == server[1].asked > 2
    assert found.document_tokens == 2 * (1 + CHARS) and found.read_tokens == 0
    per_question = (found.once_tokens - found.document_tokens) / found.answers
    assert (
        len("\n\nWhat does client 0 ask 0.1?")
        < per_question
        < len("\n\nWhat does client 0 ask 0.01234567890123456789?")
    )
    assert 0 < found.p50_s <= found.p95_s
    if sys.platform == "linux":
        assert found.late_bytes is not None and found.late_bytes > 1 << 20


def test_every_document_counts_once_and_every_question_whole() -> None:
    got = loading._Answered()
    for document, prompt in ((0, 110), (0, 112), (1, 207), (0, 108)):
        got.add(document, 1.0, prompt)
    assert got.once_tokens([100, 200, 300]) == (100 + 10 + 12 + 8) + (200 + 7)


def test_memory_is_left_out_where_the_system_does_not_tell(
    server: tuple[Served, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "resident_bytes", lambda process: None)
    found = load(server[0], 1, 1, CHARS, 0.5)
    assert found.answers > 1 and found.early_bytes is found.late_bytes is None


def test_when_nothing_is_answered_the_first_reason_is_told(server: tuple[Served, Answers]) -> None:
    server[1].fails["/v1/chat/completions"] = 507, "the disk is full"
    with pytest.raises(FarspanError, match=r"none of \d+ questions was answered: .* 507: the disk is full"):
        load(server[0], 2, 1, CHARS, 0.3)


def test_a_server_that_dies_ends_the_load(server: tuple[Served, Answers]) -> None:
    server[1].dies_after, began = 5, time.monotonic()
    with pytest.raises(ServerEnded, match="ended with code -9; the end of its log: what was written last"):
        load(server[0], 3, 1, CHARS, 60)
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_clients(server: tuple[Served, Answers]) -> None:
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began, threads = time.monotonic(), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        load(server[0], 3, 1, CHARS, 60)
    while threading.active_count() > threads:
        assert time.monotonic() - began < 20
        time.sleep(0.05)


def test_short_questions_beside_a_long_text(server: tuple[Served, Answers]) -> None:
    found = beside(server[0], CHARS, 0.3)
    assert found.reading_questions >= 5
    assert (found.tokens, found.written_tokens) == (5, 3.0)
    assert found.idle_questions + found.reading_questions == server[1].asked - 3
    assert found.times == round(found.reading_p95_s / found.idle_p95_s, 2) > 0


def test_times_is_how_much_longer_a_question_takes_while_a_text_is_read(
    server: tuple[Served, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    server[1].read.set()
    took = iter([[(1.0, 3)] * 5, [(4.0, 3)] * 5])
    monkeypatch.setattr(loading, "_asked", lambda server, ended: next(took))
    found = beside(server[0], CHARS, 0.1)
    assert (found.idle_p95_s, found.reading_p95_s, found.times) == (1.0, 4.0, 4.0)


def test_a_text_that_is_read_before_anybody_sees_it(server: tuple[Served, Answers]) -> None:
    server[1].read.set()
    with pytest.raises(FarspanError, match=r"[01] answers are too few to measure; give more --long-tokens"):
        beside(server[0], CHARS, 0.2)


def test_a_text_that_cannot_be_read(server: tuple[Served, Answers]) -> None:
    server[1].fails["/v1/sessions/long/read"] = 507, "no room"
    with pytest.raises(FarspanError, match="/v1/sessions/long/read answered 507: no room"):
        beside(server[0], CHARS, 0.2)


def test_a_proxy_is_not_asked(server: tuple[Served, Answers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert serving._is_up(server[0].url)
    assert server[0].post("/tokenize", {"content": "abc"}) == {"count": 3}


def test_the_first_failure_ends_all_threads() -> None:
    def fail() -> None:
        raise ValueError("no")

    with Threads() as threads, pytest.raises(ValueError, match="no"):
        threads.begin(lambda: threads.ended.wait(60) and None)
        threads.begin(fail)
        threads.wait()


@pytest.mark.parametrize("said", ["loading model", "the model cannot be loaded: ./nowhere is no folder"])
def test_a_model_that_cannot_be_loaded_is_told_at_once(server: tuple[Served, Answers], said: str) -> None:
    server[1].fails["/health"] = 503, json.dumps({"error": {"message": said}})
    if said == "loading model":
        assert not serving._is_up(server[0].url)
        return
    with pytest.raises(FarspanError, match=r"does not come up: the model cannot be loaded: \./nowhere"):
        serving._is_up(server[0].url)


SERVES = """
import time
from farspan.bench.serving.load import load
from farspan.bench.serving.served import served
with served(["--budget", "16MiB"]) as server:
    found = load(server, 2, 1, 400, 1.0)
    print(server._process.pid, server._log, found.answers, found.errors, found.read_tokens, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_real_server_whatever_keys_the_environment_has_is_ended_by_sigterm_too() -> None:
    environment = os.environ | {"FARSPAN_API_KEY": "secret", "FARSPAN_SERVE_PORT": "1"}
    command = [sys.executable, "-c", SERVES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as bench:
        assert bench.stdout is not None
        process, log, *counts = bench.stdout.readline().split()
        bench.terminate()
        assert bench.wait(30) == 128 + signal.SIGTERM
    answers, errors, read_tokens = map(int, counts)
    assert answers > 1 and not errors and read_tokens > 0
    assert not Path(log).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)
