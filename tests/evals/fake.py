"""A subject without a model: it answers rightly what its method lets it see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from farspan.errors import BudgetError
from farspan.evals.subjects import Reply
from farspan.tasks import Frame, Turn


@dataclass
class FakeSubject:
    """`full` answers what stands in its context; `streaming` only what stands in the second half of it.

    `lm_infinite` cannot meet its budget. `log` holds every context that was read and every question asked. With
    `breaks`, questions for a number cannot be asked, and `said` is the answer to everything.
    """

    name: str = "fake"
    frame: Frame = field(default_factory=lambda: Frame(1, 1, 1, 1))
    log: list[tuple[str, ...]] = field(default_factory=list)
    breaks: str = ""
    said: str = ""

    def count(self, text: str) -> int:
        return len(text.split())

    def facts(self) -> dict[str, Any]:
        return {"model": self.name, "tokenizer": "words"}

    @contextmanager
    def read(self, context: str, method: str, budget: str) -> Iterator[FakeReading]:
        self.log.append(("read", method, context))
        if method.startswith("lm_infinite"):
            raise BudgetError("8MiB are too few", fix="give 16MiB")
        seen = context[len(context) // 2 :] if method.startswith("streaming") else context
        yield FakeReading(self, seen)


@dataclass
class FakeReading:
    subject: FakeSubject
    seen: str

    def ask(self, turn: Turn) -> Reply:
        self.subject.log.append(("ask", turn.query))
        if self.subject.breaks and "number of" in turn.query:
            raise ZeroDivisionError(self.subject.breaks)
        found = all(gold in self.seen for gold in turn.gold)
        return Reply(
            text=self.subject.said or (turn.answer if found else "no idea"),
            context_tokens=len(self.seen.split()),
            prompt_tokens=len(turn.query.split()),
            new_tokens=2,
            counts={"seen": 9, "kept": 9, "stored": 0, "fetched": 0, "dropped": 0, "exact": True,
                    "kv_bytes": {"device": 900, "host": 0, "disk": 0}},
        )  # fmt: skip

    def converse(self, turns: tuple[Turn, ...], history: str) -> list[Reply]:
        self.subject.log.append(("converse", history))
        return [self.ask(turn) for turn in turns]
