"""`farspan bench book`: quotes of a real book, and facts in a second file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farspan.cli import show, work
from farspan.cli.commands.bench.shared import lengths, report, rows_option, tokens_option
from farspan.cli.options import (
    DEFAULT_METHOD,
    budget_option,
    debug_option,
    json_option,
    method_option,
    model_option,
    quiet_option,
)
from farspan.types import Budget

if TYPE_CHECKING:
    from farspan.evals import Row

DEFAULT_BUDGET = "64MiB"


@click.command("book")
@click.argument("path", type=click.Path(path_type=Path))
@model_option
@method_option(DEFAULT_METHOD)
@budget_option(DEFAULT_BUDGET)
@tokens_option(None)
@click.option("--questions", type=click.IntRange(min=1), default=50, show_default=True, help="Quotes to continue.")
@click.option("--facts", type=click.IntRange(0, 8), default=5, show_default=True, help="Facts in a second file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses quotes and facts.")
@rows_option
@json_option
@quiet_option
@debug_option
def command(
    path: Path,
    model: str | None,
    method: str | None,
    budget: str | None,
    tokens: str | None,
    questions: int,
    facts: int,
    seed: int,
    rows: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read a book and a second file of facts, and ask for quotes at random depths and for the facts.

    A quote of eight words counts when the next eight tokens are those of the book.
    """
    import farspan

    expr = str(farspan.methods.parse(method or DEFAULT_METHOD))
    limit = str(Budget.parse(budget or DEFAULT_BUDGET))
    settings = {"model": model, "method": expr, "budget": limit, "seed": seed, "file": str(path)}
    sizes: list[int | None] = [*lengths(tokens)] if tokens else [None]

    def measured() -> Iterator[Row]:
        from farspan import evals

        work.hush()
        ready = farspan.load(model)
        for size in sizes:
            if not quiet:
                show.note(f"{path}, {expr}, {f'{size:,} tokens' if size else 'the whole'}")
            yield from evals.book_rows(
                ready,
                path,
                expr,
                tokens=size,
                questions=questions,
                facts=facts,
                budget=Budget.parse(limit),
                seed=seed,
            )

    report(measured(), settings, rows, as_json=as_json)
