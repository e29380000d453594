"""`farspan eval compare`: two runs on the questions that both asked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.commands.eval.shared import check_extra, folder_argument
from farspan.cli.options import debug_option, json_option


@click.command("compare")
@folder_argument("first")
@folder_argument("second")
@json_option
@debug_option
def command(first: Path, second: Path, as_json: bool) -> None:
    """Compare the runs in FIRST and SECOND, question by question, on those that both answered.

    Shows the difference in points of 100 with its 95% interval over contexts, the questions that only one got right
    (wins of the second, losses), and the p of a sign-flip test over contexts (McNemar's exact test where there is one
    question on each), corrected for the number of comparisons.
    """
    check_extra()
    from farspan.evals import Results, comparison

    runs = {folder: Results.open(folder).rows for folder in (first, second)}
    found = comparison.compare(runs[first], runs[second], by_length=True)
    for folder, rows in runs.items():
        if names := comparison.left_over(rows, found):
            show.note(f"not compared, since {folder} alone has it: {', '.join(names)}")
    if as_json:
        show.as_json({"comparisons": [asdict(one) for one in found]})
        return
    head, *lines = comparison.table(found)
    show.table(head, lines)
