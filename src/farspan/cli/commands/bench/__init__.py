"""`farspan bench`: measure this machine. What methods find is measured by `farspan eval`."""

from __future__ import annotations

import click

from farspan.cli.commands.bench import decode, memory, prefill, speed


@click.group("bench")
def command() -> None:
    """Measure memory and speed on this machine."""


for each in (decode.command, prefill.command, memory.command, speed.command):
    command.add_command(each)
