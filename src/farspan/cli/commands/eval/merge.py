"""`farspan eval merge`: one run out of several."""

from __future__ import annotations

from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.commands.eval.shared import check_extra
from farspan.cli.options import debug_option


@click.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The new folder.")
@debug_option
def command(folders: tuple[Path, ...], out: Path) -> None:
    """Put the runs in FOLDERS together in a new folder, with a report on all of them.

    For what was measured in parts: in several processes, on several machines, method by method. Where several read one
    context with one method, the last of them that answered every question on it counts. Runs of different models,
    number types, seeds or fillers are refused. FOLDERS stay as they are.
    """
    check_extra()
    from farspan.evals import merge, report

    merged = merge(folders, out)
    for path in report.write(out, merged.rows, merged.config):
        show.note(str(path))
    show.note(f"{len(merged.rows):,} rows of {len(merged.config['runs']):,} runs")
