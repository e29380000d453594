"""`farspan bench decode`: how long the next token of an answer takes, beside other programs."""

from __future__ import annotations

import click

from farspan.cli.commands.bench.racing import RaceOptions, race_options, run


@click.command("decode")
@race_options
@click.option(
    "--sessions", type=click.IntRange(min=1), default=1, metavar="N", help="Also so many sessions that write at once."
)
def command(options: RaceOptions, sessions: int) -> None:
    """Show how long the next token takes after so many, beside transformers, llama.cpp and kvpress.

    All run the same weights and take turns of 8 tokens; what counts is the median turn. The ceiling is that the
    weights, and the keys and values that the token attends to, must be read from memory. transformers' cache is filled
    with random numbers; llama.cpp keeps keys and values in float16; kvpress keeps half of them, by SnapKV.
    """
    from farspan.bench.race import DECODE

    run(DECODE, options, ("ms a token", "at least"), lambda ms: f"{ms:.2f}", sessions)
