"""`farspan eval heads`: which heads copy what was read."""

from __future__ import annotations

from pathlib import Path

import click

from farspan.cli import opening, show
from farspan.cli.options import debug_option, json_option, model_option, out_file_option, token_count


@click.command("heads")
@model_option
@click.option("--length", default="1K", show_default=True, metavar="N", help="Tokens around each needle.")
@click.option("--needles", type=click.IntRange(min=1), default=20, show_default=True, help="How many are averaged.")
@click.option("--top", type=click.IntRange(min=1), default=16, show_default=True, help="How many heads to show.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the needles.")
@out_file_option("Write all scores as JSON there.")
@json_option
@debug_option
def command(model: str | None, length: str, needles: int, top: int, seed: int, out: Path | None, as_json: bool) -> None:
    """Show the retrieval score of the model's heads: the share of a needle's tokens that a head copies.

    After Wu et al. 2024, "Retrieval Head". Heads above .1 are what the paper calls retrieval heads. The file that -o
    writes is a profile for the method "duo_attention(profile='FILE')".
    """
    import farspan
    from farspan.evals.heads import head_profile

    tokens = token_count(length, "--length")
    opening.hush()
    ready = farspan.load(model)
    profile = head_profile(ready, length=tokens, needles=needles, seed=seed)
    if out is not None:
        profile.save(out)
    if as_json:
        show.as_json(profile.as_dict())
        return
    shown = profile.heads[:top]
    show.table(("layer", "head", "score"), [(str(one.layer), str(one.head), f"{one.score:.3f}") for one in shown])
