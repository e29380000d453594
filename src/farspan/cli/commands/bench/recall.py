"""`farspan bench recall`: how much of what it read each method still finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farspan.cli import show, work
from farspan.cli.commands.bench.shared import lengths, report, rows_option, tokens_option
from farspan.cli.options import budget_option, debug_option, json_option, model_option, quiet_option
from farspan.types import Budget, format_count

if TYPE_CHECKING:
    from farspan.evals import Row

DEFAULT_BUDGET = "64MiB"


@click.command("recall")
@click.argument("task", nargs=-1, required=True)
@model_option
@click.option("--method", "methods", multiple=True, metavar="EXPR", help="A method. May be repeated. [default: all]")
@budget_option(DEFAULT_BUDGET)
@tokens_option("1K,4K")
@click.option("--contexts", type=click.IntRange(min=1), default=4, show_default=True, help="Documents of each length.")
@click.option("--questions", type=click.IntRange(min=1), default=8, show_default=True, help="Questions on each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses documents and questions.")
@click.option("-f", "--file", "filler", metavar="PATH", help="Hide the facts in this text, or quote it.")
@rows_option
@json_option
@quiet_option
@debug_option
def command(
    task: tuple[str, ...],
    model: str | None,
    methods: tuple[str, ...],
    budget: str | None,
    tokens: str,
    contexts: int,
    questions: int,
    seed: int,
    filler: str | None,
    rows: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Ask for facts and quotes in texts that were read before the questions were known.

    TASK is one or more of the generated families, such as needle, key_value or quotes. Every method gets the same
    texts and questions.
    """
    import farspan

    exprs = [str(farspan.methods.parse(text)) for text in methods or farspan.methods.names()]
    limit = str(Budget.parse(budget or DEFAULT_BUDGET))
    settings = {"model": model, "budget": limit, "seed": seed, "file": filler}
    cells = [(name, expr, length) for name in task for length in lengths(tokens) for expr in exprs]

    def measured() -> Iterator[Row]:
        from farspan import evals, tasks
        from farspan.text import Document

        work.hush()
        ready = farspan.load(model)
        prose = tasks.Text("".join(Document.from_path(filler).pieces())) if filler else tasks.Synthetic()
        for name, expr, length in cells:
            if not quiet:
                show.note(f"{name}, {expr}, {format_count(length)} tokens")
            yield from evals.recall_rows(
                ready,
                name,
                expr,
                length,
                contexts=contexts,
                questions=questions,
                budget=Budget.parse(limit),
                seed=seed,
                filler=prose,
            )

    report(measured(), settings, rows, as_json=as_json)
