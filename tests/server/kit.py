"""A service over a tiny random model, without HTTP, and what tests ask of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farspan.engine import Model
from farspan.engine.conversation import Message, Passage
from farspan.engine.stepping import run_steps
from farspan.server.asked import Answered, Asked, Options
from farspan.server.building import Settings, assemble
from farspan.server.service import Service
from farspan.server.turns import Job, Turns
from farspan.types import Progress
from tests.tiny import llama, tokenizer

BOOK = "".join(f"Paragraph {number} tells of the {number % 7}th thing that the man saw.\n\n" for number in range(60))


class Read:
    """Counts the tokens that go through a model; `stop` is asked before every step."""

    def __init__(self) -> None:
        self.tokens = 0
        self.before: Callable[[], None] = lambda: None

    def run(self, steps: Any, logits: Any) -> Any:
        """Run steps, counted."""
        self.before()
        self.tokens += sum(len(step.ids) for step in steps)
        return run_steps(steps, logits)


class Told:
    """A listener that notes everything."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.pieces: list[str] = []
        self.progress: list[Progress] = []

    def check(self) -> None:
        """Somebody waits."""

    def began(self, job: Job) -> None:
        """The work has begun."""
        self.job = job

    def read(self, progress: Progress) -> None:
        """A chunk was read."""
        self.progress.append(progress)

    def wrote(self, piece: str, likely: object = ()) -> None:
        """Text of the answer is ready."""
        self.pieces.append(piece)


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[tuple[Service, Read]]:
    """A service over the tiny model, and what goes through the model."""
    read = Read()
    turns = Turns(read.run)
    model = Model(llama(), tokenizer(), "tiny", turns)
    service = assemble(model, turns, Settings(folder=folder, **{"budget": "unlimited", **settings}))
    try:
        yield service, read
    finally:
        service.close()


def said(*texts: str) -> list[Message]:
    """A conversation in which user and assistant take turns."""
    named = [Passage(text, f"message {number}" if number % 2 else None) for number, text in enumerate(texts, 1)]
    return [Message("assistant" if number % 2 else "user", (one,)) for number, one in enumerate(named)]


def answer(service: Service, *texts: str, tokens: int = 8, owner: str = "me", **options: Any) -> Answered:
    """Answer a conversation."""
    drawn = {"max_new_tokens": tokens, "ignore_eos": True}
    asked = Asked(owner=owner, messages=said(*texts), sampling=drawn, options=Options(**options))
    return service.answer(asked, Told())


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do these in threads, and give what each gives."""
    found: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        found[number] = work()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return found
