"""`farspan eval report`: write the report of a run anew."""

from __future__ import annotations

from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.commands.eval.shared import check_extra, folder_argument
from farspan.cli.options import debug_option


@click.command("report")
@folder_argument()
@debug_option
def command(folder: Path) -> None:
    """Write summary.csv, summary.json, report.md, report.html and the figures from the rows in FOLDER."""
    check_extra()
    from farspan.evals import Results, report

    results = Results.open(folder)
    for path in report.write(folder, results.rows, results.config):
        show.note(str(path))
