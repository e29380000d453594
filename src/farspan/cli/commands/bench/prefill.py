"""`farspan bench prefill`: how fast a text is read, beside other programs."""

from __future__ import annotations

import click

from farspan.cli.commands.bench.racing import RaceOptions, race_options, run


@click.command("prefill")
@race_options
def command(options: RaceOptions) -> None:
    """Show how fast text is read after so many tokens, beside transformers, llama.cpp and kvpress.

    All run the same weights and take turns of 512 tokens; what counts is the median turn. The ceiling is that the
    layers' products, and attention to what a token meets, must be computed. transformers' cache is filled with random
    numbers; kvpress, which reads a text at once, reads all of it anew every time, and prunes half of it by SnapKV.
    """
    from farspan.bench.race import PREFILL

    run(PREFILL, options, ("tokens/s", "at most"), lambda ms: f"{1e3 / ms:,.1f}")
