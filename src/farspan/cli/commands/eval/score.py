"""`farspan eval score`: score the rows of a run again, without a model."""

from __future__ import annotations

from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.commands.eval.shared import cells_table, check_extra, folder_argument
from farspan.cli.options import debug_option


@click.command("score")
@folder_argument()
@debug_option
def command(folder: Path) -> None:
    """Score the replies in FOLDER again and write its report anew: for when a scorer has changed."""
    check_extra()
    from farspan.evals import Results, report
    from farspan.evals.rows import rescored
    from farspan.evals.summary import summarise

    with Results.change(folder) as results:
        old = results.rows
        new = rescored(old)
        results.replace(new)
        report.write(folder, results.rows, results.config)
    cells_table(summarise(results.rows))
    changed = sum(before["score"] != after["score"] for before, after in zip(old, new, strict=True))
    show.note(f"{len(new):,} rows scored again, {changed:,} changed")
