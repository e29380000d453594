"""`farspan eval loss`: the loss against the position in a text, by method."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

import click

from farspan.cli import show, work
from farspan.cli.options import (
    budget_option,
    debug_option,
    json_option,
    model_option,
    quiet_option,
    self_sufficient_option,
    token_count,
)
from farspan.types import format_count

DEFAULT_BUDGET = "64MiB"


@click.command("loss")
@click.argument("path", type=click.Path(path_type=Path))
@model_option
@self_sufficient_option
@budget_option(DEFAULT_BUDGET)
@click.option("--tokens", default="8K", show_default=True, metavar="N", help="How much of the text.")
@click.option("--bin", "bin_tokens", default="1K", show_default=True, metavar="N", help="Tokens in a mean.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the means as CSV there.")
@json_option
@quiet_option
@debug_option
def command(
    path: Path,
    model: str | None,
    methods: str | None,
    budget: str | None,
    tokens: str,
    bin_tokens: str,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read a text token by token and show the mean loss (nats a token) against the position, for every method.

    No question is asked: a method whose loss climbs beyond the model's window has lost its footing there.
    """
    import farspan
    from farspan.evals.loss import LossBin, loss_curve
    from farspan.text import Document

    document = Document.from_path(path)
    length, each = token_count(tokens, "--tokens"), token_count(bin_tokens, "--bin")
    chosen = work.chosen_methods(methods)
    work.hush()
    ready = farspan.load(model)
    bins: list[LossBin] = []
    for method in chosen:
        if not quiet:
            show.note(f"{path}, {method}")
        bins += loss_curve(
            ready,
            document.pieces(),
            method,
            tokens=length,
            budget=budget or DEFAULT_BUDGET,
            bin_tokens=each,
        )
    rows = [asdict(one) for one in bins]
    if out is not None:
        with out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("method", "start", "end", "loss"))
            writer.writeheader()
            writer.writerows(rows)
    if as_json:
        show.as_json({"bins": rows})
        return
    names = list(dict.fromkeys(one.method for one in bins))
    by_start = {(one.method, one.start): f"{one.loss:.3f}" for one in bins}
    show.table(
        ("tokens", *names),
        [
            (format_count(start), *(by_start.get((name, start), "-") for name in names))
            for start in sorted({one.start for one in bins})
        ],
    )
