"""`farspan eval`: which method holds up, on this model, at this length, in this memory."""

from __future__ import annotations

import click

from farspan.cli.commands.eval import compare, gen, heads, list_, loss, merge, report, run, score


@click.group("eval")
def command() -> None:
    """Measure which method holds up: run tasks, report, compare."""


for part in (run, list_, gen, score, report, merge, compare, loss, heads):
    command.add_command(part.command)
