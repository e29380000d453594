"""What many clients do to a server: whether all are answered, what is read twice, whether memory grows.

And what one long text that is read does to short questions.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, quantiles
from typing import Any

from farspan.bench.serving.served import Served, ServerEnded
from farspan.bench.serving.threads import Threads
from farspan.bench.text import generated_text
from farspan.errors import FarspanError

_SHORT = "What is the capital of the country of which you know most?"
_PAUSE_S = 0.05
_WATCH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Answers of `clients` that asked about `documents` for some seconds; times are in seconds, memory in bytes.

    `read_tokens` went through the model but for those of answers. `once_tokens` is every document once and every
    question whole; less may be read, since questions begin alike. Of resident memory, `early_bytes` is the most in the
    second quarter of the time and `late_bytes` that of the last; None where the system does not tell.
    """

    clients: int
    documents: int
    seconds: float
    answers: int
    errors: int
    first_error: str
    document_tokens: int
    read_tokens: int
    once_tokens: int
    p50_s: float
    p95_s: float
    early_bytes: int | None
    late_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """95th percentiles of the time of a short question: on an idle server, and while a long text was read.

    `times` is the second over the first; an answer to such a question had `written_tokens`, on average.
    """

    tokens: int
    idle_p95_s: float
    reading_p95_s: float
    times: float
    idle_questions: int
    reading_questions: int
    written_tokens: float


@dataclass(slots=True)
class _Answered:
    """What clients got: seconds, errors, and prompts' tokens and answers by document."""

    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    prompts: Counter[int] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, document: int, seconds: float, prompt_tokens: int) -> None:
        """One more answer."""
        with self.lock:
            self.took.append(seconds)
            self.prompts[document] += prompt_tokens
            self.answers[document] += 1

    def once_tokens(self, documents: Sequence[int]) -> int:
        """Tokens of every document that was asked about once, given those of each, and of every question."""
        return sum(
            prompts - (self.answers[document] - 1) * documents[document] for document, prompts in self.prompts.items()
        )


def load(server: Served, clients: int, documents: int, chars: int, seconds: float) -> Load:
    """Have clients ask about shared documents of so many characters, each the next as soon as it is answered.

    Raises FarspanError when the server ends, or when no question is answered.
    """
    texts = ["".join(generated_text(chars, seed)) for seed in range(documents)]
    sizes = [server.post("/tokenize", {"content": text, "add_special_tokens": True})["count"] for text in texts]
    before = server.metrics()
    got, memory = _Answered(), list[int]()
    with Threads() as threads:
        until = time.monotonic() + seconds

        def going_on() -> bool:
            return time.monotonic() < until and not threads.ended.is_set()

        def watch() -> None:
            while going_on() and (amount := server.resident_bytes()) is not None:
                memory.append(amount)
                threads.ended.wait(_WATCH_S)

        for number in range(clients):
            threads.begin(lambda number=number: _ask_on(server, number, texts, got, going_on))  # type: ignore[misc]
        threads.begin(watch)
        threads.wait()
    if got.errors and not got.took:
        raise FarspanError(f"none of {len(got.errors):,} questions was answered: {got.errors[0]}")
    after, quarter = server.metrics(), max(1, len(memory) // 4)
    return Load(
        clients=clients,
        documents=documents,
        seconds=seconds,
        answers=len(got.took),
        errors=len(got.errors),
        first_error=got.errors[0] if got.errors else "",
        document_tokens=sum(sizes[which] for which in got.answers),
        read_tokens=round(after["farspan:read_tokens_total"] - before["farspan:read_tokens_total"]),
        once_tokens=got.once_tokens(sizes),
        p50_s=_percentile(got.took, 50, "--seconds"),
        p95_s=_percentile(got.took, 95, "--seconds"),
        early_bytes=max(memory[quarter : 2 * quarter] or memory, default=None),
        late_bytes=max(memory[-quarter:], default=None),
    )


def _ask_on(server: Served, number: int, texts: Sequence[str], got: _Answered, going_on: Callable[[], bool]) -> None:
    """What one client does."""
    draw = random.Random(number)
    while going_on():
        which, began = draw.randrange(len(texts)), time.monotonic()
        try:
            reply = server.ask(f"{texts[which]}\n\nWhat does client {number} ask {draw.random()}?", max_tokens=8)
        except ServerEnded:
            raise
        except FarspanError as error:
            got.errors.append(error.message)
            time.sleep(_PAUSE_S)
            continue
        got.add(which, time.monotonic() - began, reply["usage"]["prompt_tokens"])


def beside(server: Served, chars: int, seconds: float) -> Beside:
    """Ask short questions for some seconds, and then for as long as a text of so many characters is read."""
    for _ in range(3):
        server.ask(_SHORT)
    idle = _asked(server, _until(time.monotonic() + seconds))
    server.post("/v1/sessions", {"id": "long"})
    described: dict[str, Any] = {}
    text = "".join(generated_text(chars, seed=1_000))
    with Threads() as threads:

        def read() -> None:
            described.update(server.post("/v1/sessions/long/read", {"text": text, "name": "long"}))
            threads.ended.set()

        threads.begin(read)
        while not threads.ended.is_set() and server.metrics()["farspan:num_requests_running"] < 1:
            time.sleep(_PAUSE_S)
        reading = _asked(server, threads.ended.is_set)
        threads.wait()
    idle_p95_s = _percentile([took for took, _ in idle], 95, "--seconds")
    reading_p95_s = _percentile([took for took, _ in reading], 95, "--long-tokens")
    return Beside(
        tokens=described["context"]["seen"],
        idle_p95_s=idle_p95_s,
        reading_p95_s=reading_p95_s,
        times=round(reading_p95_s / idle_p95_s, 2),
        idle_questions=len(idle),
        reading_questions=len(reading),
        written_tokens=round(fmean(written for _, written in idle + reading), 1),
    )


def _asked(server: Served, ended: Callable[[], bool]) -> list[tuple[float, int]]:
    """Seconds of each of some short questions, and the tokens of its answer."""
    took = []
    while not ended():
        began = time.monotonic()
        reply = server.ask(_SHORT)
        took.append((time.monotonic() - began, reply["usage"]["completion_tokens"]))
        time.sleep(_PAUSE_S)
    return took


def _until(moment: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= moment


def _percentile(times: list[float], percent: int, option: str) -> float:
    if len(times) < 2:
        raise FarspanError(f"{len(times)} answers are too few to measure", fix=f"give more {option}")
    return quantiles(times, n=100, method="inclusive")[percent - 1]
