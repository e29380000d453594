"""What many clients do to a server: whether all are answered, what is read twice, whether memory grows.

And what one long text that is read does to short questions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from farspan.bench.serving.served import Served
from farspan.bench.text import generated_text
from farspan.errors import FarspanError

_SHORT = "What is the capital of the country of which you know most?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Answers of `clients` that asked about `documents` for some seconds; times are in seconds, memory in bytes.

    `read_tokens` went through the model but for those of answers; reading every document and every question once would
    have taken `least_tokens`. Of resident memory, `early_bytes` is the most in the second quarter of the time and
    `late_bytes` that of the last.
    """

    clients: int
    documents: int
    seconds: float
    answers: int
    errors: int
    first_error: str
    document_tokens: int
    read_tokens: int
    least_tokens: int
    p50_s: float
    p95_s: float
    early_bytes: int
    late_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """95th percentiles of the time of a short question: on an idle server, and while a long text was read."""

    tokens: int
    idle_p95_s: float
    reading_p95_s: float
    times: float
    idle_questions: int
    reading_questions: int


def load(server: Served, clients: int, documents: int, chars: int, seconds: float) -> Load:
    """Have clients ask about shared documents of so many characters, each the next as soon as it is answered."""
    texts = ["".join(generated_text(chars, seed)) for seed in range(documents)]
    before = server.metrics()
    until, took, errors, memory = time.monotonic() + seconds, [], [], []
    prompts: list[tuple[int, int]] = []

    def client(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < until:
            which, began = draw.randrange(documents), time.monotonic()
            try:
                reply = server.ask(f"{texts[which]}\n\nWhat does client {number} ask {draw.random()}?", max_tokens=8)
            except FarspanError as error:
                errors.append(error.message)
                continue
            took.append(time.monotonic() - began)
            prompts.append((which, reply["usage"]["prompt_tokens"]))

    def watch() -> None:
        while time.monotonic() < until:
            memory.append(server.resident_bytes())
            time.sleep(0.5)

    _all([lambda number=number: client(number) for number in range(clients)] + [watch])
    after, quarter = server.metrics(), max(1, len(memory) // 4)
    largest = {which: max(tokens for other, tokens in prompts if other == which) for which, _ in prompts}
    return Load(
        clients=clients,
        documents=documents,
        seconds=seconds,
        answers=len(took),
        errors=len(errors),
        first_error=errors[0] if errors else "",
        document_tokens=sum(largest.values()),
        read_tokens=round(after["farspan:read_tokens_total"] - before["farspan:read_tokens_total"]),
        least_tokens=sum(largest.values()) + len(took) * _tokens_of_a_question(server),
        p50_s=_percentile(took, 50),
        p95_s=_percentile(took, 95),
        early_bytes=max(memory[quarter : 2 * quarter] or memory),
        late_bytes=max(memory[-quarter:]),
    )


def beside(server: Served, chars: int, seconds: float) -> Beside:
    """Ask short questions for some seconds, and then for as long as a text of so many characters is read."""
    for _ in range(3):
        server.ask(_SHORT)
    idle = _asked(server, _until(time.monotonic() + seconds))
    server.post("/v1/sessions", {"id": "long"})
    done = threading.Event()
    described: dict[str, Any] = {}

    def read() -> None:
        text = "".join(generated_text(chars, seed=1_000))
        try:
            described.update(server.post("/v1/sessions/long/read", {"text": text, "name": "long"}))
        finally:
            done.set()

    reader = threading.Thread(target=read)
    reader.start()
    while server.metrics()["farspan:num_requests_running"] < 1:
        time.sleep(0.05)
    reading = _asked(server, done.is_set)
    reader.join()
    if not described:
        raise FarspanError("the long text was not read", fix="see the server's log")
    p95s = _percentile(idle, 95), _percentile(reading, 95)
    return Beside(
        tokens=described["context"]["seen"],
        idle_p95_s=p95s[0],
        reading_p95_s=p95s[1],
        times=round(p95s[1] / p95s[0], 2),
        idle_questions=len(idle),
        reading_questions=len(reading),
    )


def _asked(server: Served, ended: Callable[[], bool]) -> list[float]:
    took = []
    while not ended():
        began = time.monotonic()
        server.ask(_SHORT)
        took.append(time.monotonic() - began)
        time.sleep(0.05)
    return took


def _until(moment: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= moment


def _tokens_of_a_question(server: Served) -> int:
    reply = server.post("/tokenize", {"content": f"\n\nWhat does client 10 ask {0.1234567890123456}?"})
    count: int = reply["count"]
    return count


def _percentile(times: list[float], percent: int) -> float:
    if len(times) < 2:
        raise FarspanError(f"{len(times)} answers are too few to measure", fix="give the load more --seconds")
    return round(quantiles(times, n=100, method="inclusive")[percent - 1], 4)


def _all(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
