"""Recall of generated facts: documents of a length are read before their questions are known, then several are asked.

The same seed gives every method the same documents and questions.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from farspan import tasks
from farspan.engine import Generation, Model, Session
from farspan.methods import Method
from farspan.types import Budget

QUOTED_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question and what came of it.

    `correct`: the whole answer was given, or for quotes the first eight tokens of it. `sourced`: the best source
    overlaps the passage that holds the answer. `depth` is where that lies, 0 the beginning and 1 the end.
    """

    task: str
    method: str
    tokens: int
    context: int
    depth: float
    question: str
    answer: str
    text: str
    correct: bool
    sourced: bool
    read_s: float
    answer_s: float

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values for JSON."""
        return asdict(self)


def recall_rows(
    model: Model,
    task: str,
    method: str | Method,
    tokens: int,
    *,
    contexts: int,
    questions: int,
    budget: Budget,
    seed: int = 0,
    filler: tasks.Filler | None = None,
) -> Iterator[Row]:
    """Read `contexts` documents of `tokens` tokens, template and questions included, and ask `questions` about each."""
    reserve = 128
    for number in range(contexts):
        rng = random.Random(f"{task}|{tokens}|{seed}|{number}")
        sample = tasks.get(task).make(
            rng,
            length=tokens - reserve,
            count=lambda text: len(model.encoder.encode(text).ids),
            filler=filler or tasks.Synthetic(),
            questions=questions,  # type: ignore[call-arg]
        )
        with model.session(method, budget) as session:
            began = time.perf_counter()
            session.read(sample.document)
            read_s = time.perf_counter() - began
            for question in sample.questions:
                place = (task, number, tokens, len(sample.document))
                yield asked(session, question, place, file="<text>", read_s=read_s)


def asked(
    session: Session, question: tasks.Question, place: tuple[str, int, int, int], *, file: str, read_s: float
) -> Row:
    """Ask one question; `place` is the task, the context's number, its tokens and its characters."""
    task, context, tokens, chars = place
    began = time.perf_counter()
    wanted = session.model.encoder.encode(question.answer).ids
    is_quote = task == "quotes"
    answer = session.ask(question.text, max_new_tokens=QUOTED_TOKENS if is_quote else len(wanted) + 4)
    start, end = question.evidence[0]
    return Row(
        task=task,
        method=str(session.method),
        tokens=tokens,
        context=context,
        depth=round(start / max(1, chars), 4),
        question=question.text,
        answer=question.answer,
        text=answer.text,
        correct=_is_correct(answer, question, wanted, is_quote),
        sourced=any(source.file == file and source.start < end and start < source.end for source in answer.sources[:1]),
        read_s=round(read_s, 3),
        answer_s=round(time.perf_counter() - began, 3),
    )


def summary(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One record for every task, method and length: questions, contexts, shares that are correct and sourced."""
    cells: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row.task, row.method, row.tokens].append(row)
    return [
        {
            "task": task,
            "method": method,
            "tokens": tokens,
            "questions": len(cell),
            "contexts": len({row.context for row in cell}),
            "correct": round(sum(row.correct for row in cell) / len(cell), 4),
            "sourced": round(sum(row.sourced for row in cell) / len(cell), 4),
            "read_tokens_per_s": round(tokens / max(1e-9, sum(row.read_s for row in cell) / len(cell)), 1),
            "answer_s": round(sum(row.answer_s for row in cell) / len(cell), 3),
        }
        for (task, method, tokens), cell in cells.items()
    ]


def _is_correct(answer: Generation, question: tasks.Question, wanted: list[int], is_quote: bool) -> bool:
    if is_quote:
        return answer.ids[:QUOTED_TOKENS] == wanted[:QUOTED_TOKENS]
    return answer.text.strip() == question.answer.strip()
