"""`farspan bench`: measure this machine and what the methods find."""

from __future__ import annotations

import click

from farspan.cli.commands.bench import book, memory, recall


@click.group("bench")
def command() -> None:
    """Measure memory, speed and recall on this machine."""


for measure in (book, memory, recall):
    command.add_command(measure.command)
