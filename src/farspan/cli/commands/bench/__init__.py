"""`farspan bench`: measure this machine. What methods find is measured by `farspan eval`."""

from __future__ import annotations

import click

from farspan.cli.commands.bench import decode, kernel, memory, prefill, serve, speed


@click.group("bench")
def command() -> None:
    """Measure memory, speed and kernels on this machine."""


for each in (decode.command, prefill.command, kernel.command, memory.command, serve.command, speed.command):
    command.add_command(each)
