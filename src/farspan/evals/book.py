"""Recall from a real book: quotes of it are to be continued, and facts in a second file to be found."""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from farspan import tasks
from farspan.engine import Model
from farspan.evals.recall import Row, asked
from farspan.methods import Method
from farspan.tasks import quotes
from farspan.text import Document, open_documents
from farspan.types import Budget

_FACT_TOKENS = 256


def book_rows(
    model: Model,
    path: Path,
    method: str | Method,
    *,
    tokens: int | None,
    questions: int,
    facts: int,
    budget: Budget,
    seed: int = 0,
) -> Iterator[Row]:
    """Read a book (its first `tokens`, or the whole) and a second file with `facts`; ask for quotes and for the facts.

    Quotes are of eight words at random depths and occur once in what was read. Rows of facts have the task `needle`.
    """
    rng = random.Random(f"{path.name}|{tokens}|{seed}")
    text = _beginning(model, path, tokens)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / path.name, Path(folder) / "facts.txt"]
        files[0].write_text(text, encoding="utf-8", newline="")
        planted = tasks.get("needle").make(
            rng,
            length=_FACT_TOKENS,
            count=lambda part: len(model.encoder.encode(part).ids),
            filler=tasks.Synthetic(),
            needles=facts,  # type: ignore[call-arg]
            questions=facts,
        )
        files[1].write_text(planted.document, encoding="utf-8", newline="")
        with model.session(method, budget) as session:
            began = time.perf_counter()
            for document in open_documents(files if facts else files[:1]):
                session.read(document)
            read_s = time.perf_counter() - began
            seen = session.counts.seen
            for question in quotes.draw(rng, text, questions=questions):
                yield asked(session, question, ("quotes", 0, seen, len(text)), file=str(files[0]), read_s=read_s)
            for question in planted.questions if facts else ():
                place = ("needle", 0, seen, len(planted.document))
                yield asked(session, question, place, file=str(files[1]), read_s=read_s)


def _beginning(model: Model, path: Path, tokens: int | None) -> str:
    """The text of a file, or as much of it as has so many tokens."""
    document = Document.from_path(path)
    if tokens is None:
        return "".join(document.pieces())
    end = 0
    for piece in model.encoder.stream(document.pieces()):
        if tokens <= len(piece.ids):
            end = piece.ends[tokens - 1]
            break
        tokens, end = tokens - len(piece.ids), piece.ends[-1]
    text = "".join(itertools.islice(document.pieces(), end // 65_536 + 1))
    return text[:end]
