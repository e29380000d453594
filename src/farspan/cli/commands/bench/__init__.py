"""`farspan bench`: measure this machine. What methods find is measured by `farspan eval`."""

from __future__ import annotations

import click

from farspan.cli.commands.bench import memory, speed


@click.group("bench")
def command() -> None:
    """Measure memory and speed on this machine."""


for each in (memory.command, speed.command):
    command.add_command(each)
