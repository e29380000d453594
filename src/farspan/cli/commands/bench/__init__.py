"""`farspan bench`: measure this machine. What methods find is measured by `farspan eval`."""

from __future__ import annotations

import click

from farspan.cli.commands.bench import memory


@click.group("bench")
def command() -> None:
    """Measure memory and speed on this machine."""


command.add_command(memory.command)
