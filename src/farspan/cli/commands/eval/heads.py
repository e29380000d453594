"""`farspan eval heads`: which heads copy what was read."""

from __future__ import annotations

from dataclasses import asdict

import click

from farspan.cli import show, work
from farspan.cli.options import debug_option, json_option, model_option, token_count


@click.command("heads")
@model_option
@click.option("--length", default="1K", show_default=True, metavar="N", help="Tokens around each needle.")
@click.option("--needles", type=click.IntRange(min=1), default=20, show_default=True, help="How many are averaged.")
@click.option("--top", type=click.IntRange(min=1), default=16, show_default=True, help="How many heads to show.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the needles.")
@json_option
@debug_option
def command(model: str | None, length: str, needles: int, top: int, seed: int, as_json: bool) -> None:
    """Show the retrieval score of the model's heads: the share of a needle's tokens that a head copies.

    After Wu et al. 2024, "Retrieval Head". Heads above .1 are what the paper calls retrieval heads.
    """
    import farspan
    from farspan.evals.heads import retrieval_heads

    work.hush()
    scores = retrieval_heads(farspan.load(model), length=token_count(length, "--length"), needles=needles, seed=seed)
    if as_json:
        show.as_json({"heads": [asdict(one) for one in scores]})
        return
    show.table(
        ("layer", "head", "score"), [(str(one.layer), str(one.head), f"{one.score:.3f}") for one in scores[:top]]
    )
