"""`farspan demo`: read a book many times longer than the model's window, ask about it, draw the memory it took."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farspan import telling
from farspan.cli import chart, opening, progress
from farspan.cli.options import (
    DEFAULT_METHOD,
    SessionOptions,
    budget_option,
    debug_option,
    method_option,
    model_option,
    quiet_option,
)
from farspan.errors import UsageError
from farspan.types import Budget, Size, format_bytes

if TYPE_CHECKING:
    from farspan import Model, Progress, Session
    from farspan.readers.kit.session import ReaderSession
    from farspan.tasks import Sample, Turn

DEFAULT_BUDGET = "16MiB"
FACTS, QUESTIONS = 8, 5


@click.command("demo")
@click.option("--tokens", default="64K", show_default=True, metavar="N", help="How long the book is.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("farspan-demo"),
    show_default=True,
    help="The folder for the book and the chart.",
)
@click.option("--seed", default=0, show_default=True, help="Another seed writes another book.")
@model_option
@method_option(DEFAULT_METHOD)
@budget_option(DEFAULT_BUDGET)
@quiet_option
@debug_option
def command(
    tokens: str, out: Path, seed: int, model: str | None, method: str | None, budget: str | None, quiet: bool
) -> None:
    """Show it all on a book that is written for it.

    Hides facts in a book, reads it on a fixed budget, and asks for them. Prints each answer with its source, what full
    attention makes of the same question, and memory against tokens read; leaves the book, the chart (SVG) and its
    points (CSV) in a folder.
    """
    from farspan import readers

    length, limit = Size.parse(tokens), Budget.parse(budget or DEFAULT_BUDGET)
    if length.unit != "tokens":
        raise UsageError(f"--tokens {tokens} is not a number of tokens", fix="write --tokens 64K")
    out.mkdir(parents=True, exist_ok=True)
    host = opening.load_model(
        SessionOptions(model=model, method=None, budget=None, session=None, dtype=None, device=None)
    )
    chosen = readers.parse(method or DEFAULT_METHOD)
    book = _write_book(host, length.amount, seed, out)
    session = readers.begin_session(host, chosen, limit)
    try:
        kept, everything = _read(session, book.path, quiet)
        _ask_all(session, book)
    finally:
        session.close()
    _compare_full(host, book)
    _draw([kept, everything], out, str(limit.device))


@dataclass(frozen=True, slots=True)
class Book:
    """The book with its facts, where it was written, and its length in tokens."""

    path: Path
    sample: Sample
    tokens: int

    def around(self, turn: Turn, tokens: int) -> str:
        """About `tokens` tokens of the book that begin a little before the fact that is asked for."""
        chars = len(self.sample.document) * tokens // self.tokens
        start = max(0, self.sample.spans(turn)[0][0] - chars // 4)
        return self.sample.document[start : start + chars]


def _write_book(model: Model, tokens: int, seed: int, out: Path) -> Book:
    from farspan.tasks import Space, needle

    def count(text: str) -> int:
        return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])

    sample = needle.make(random.Random(seed), Space(tokens, count, modes=()), needles=FACTS, turns=QUESTIONS)
    path = out / "book.txt"
    path.write_text(sample.document, encoding="utf-8")
    book = Book(path, sample, count(sample.document))
    click.echo(
        f"{path}: {book.tokens:,} tokens with {FACTS} facts hidden in them. "
        f"{model.name} has a window of {model.window:,}: the book is {book.tokens / model.window:.0f} times as long."
    )
    return book


def _read(session: Session | ReaderSession, path: Path, quiet: bool) -> tuple[chart.Line, chart.Line]:
    """Read the book; return the memory that was taken, and that which keeping everything would take."""
    points: list[tuple[int, int]] = [(0, 0)]
    start = time.perf_counter()
    with progress.showing(quiet) as shown:

        def watch(state: Progress) -> None:
            points.append((state.counts.seen, state.counts.kv_bytes["device"]))
            if shown:
                shown(state)

        session.read(path, progress=watch)
    seconds = time.perf_counter() - start
    counts = session.counts
    points.append((counts.seen, counts.kv_bytes["device"]))
    click.echo(f"read {counts.seen:,} tokens in {seconds:.1f} s: {counts.seen / seconds:,.0f} tokens/s")
    whole = counts.seen * session.model.kv_bytes_per_token
    everything = chart.Line("keep everything", [(0, 0), (counts.seen, whole)])
    return chart.Line(f"farspan, {session.method}", points), everything


def _ask_all(session: Session | ReaderSession, book: Book) -> None:
    right = 0
    for turn in book.sample.turns:
        answer = session.ask(turn.query, max_new_tokens=16)
        text = "".join(answer).strip()
        found = text == turn.answer.strip()
        right += found
        click.echo(f"\n{turn.query}\n  {text}  ({'right' if found else f'wrong: {turn.answer.strip()}'})")
        for line in telling.source_lines(answer.sources[:1]):
            click.echo(line)
    click.echo(f"\n{right} of {len(book.sample.turns)} right")
    click.echo(telling.account(str(session.method), answer.counts))


def _compare_full(model: Model, book: Book) -> None:
    """What full attention answers to the first question, inside the window and at four windows."""
    turn = book.sample.turns[0]
    click.echo("\nfull attention on the first question:")
    for tokens in (model.window // 2, 4 * model.window):
        if tokens > book.tokens:
            continue
        session = model.session(method="full")
        session.read(book.around(turn, tokens))
        text = "".join(session.ask(turn.query, max_new_tokens=16)).strip()
        verdict = "right" if text == turn.answer.strip() else "wrong"
        click.echo(f"  {session.counts.seen:,} tokens around the fact: {text!r} ({verdict})")
        session.close()
    click.echo(f"  the whole book: not run, it is {book.tokens / model.window:.0f} windows long")


def _draw(lines: list[chart.Line], out: Path, budget: str) -> None:
    click.echo("\nmemory of the context against tokens read:")
    for row in chart.terminal(lines):
        click.echo(row)
    (out / "memory.svg").write_text(chart.svg(f"Memory of the context, budget {budget}", lines), encoding="utf-8")
    (out / "memory.csv").write_text(chart.csv(lines), encoding="utf-8")
    saved = lines[1].points[-1][1] - max(amount for _, amount in lines[0].points)
    click.echo(f"{format_bytes(max(saved, 0))} less memory; drawn in {out / 'memory.svg'}")
