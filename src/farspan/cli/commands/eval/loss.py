"""`farspan eval loss`: the loss against the position in a text, by method."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farspan.cli import opening, show, work
from farspan.cli.options import (
    budget_option,
    debug_option,
    json_option,
    model_option,
    out_file_option,
    quiet_option,
    self_sufficient_option,
    token_count,
)
from farspan.errors import UsageError
from farspan.types import Budget, format_count

if TYPE_CHECKING:
    from farspan.evals.loss import LossBin

DEFAULT_BUDGET = "64MiB"
FAILED, LEAST = 1, 2
COLUMNS = ("method", "start", "end", "loss")


@click.command("loss")
@click.argument("path", type=click.Path(path_type=Path))
@model_option
@self_sufficient_option
@budget_option(DEFAULT_BUDGET)
@click.option("--tokens", default="8K", show_default=True, metavar="N", help="How much of the text.")
@click.option("--bin", "bin_tokens", default="1K", show_default=True, metavar="N", help="Tokens in a mean.")
@out_file_option("Write the means as CSV there.")
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
) -> int:
    """Read a text token by token and show the mean loss (nats a token) against the position, for every method.

    No question is asked: a method whose loss climbs beyond the model's window has lost its footing there. PATH is a
    file, a folder or - for standard input. A method that cannot run on this model and budget is left out, and a line
    says why; where it was named, the exit code is then 1. Stopped, it shows the means that it has, which the CSV holds
    too.
    """
    import farspan
    from farspan.evals.loss import loss_curve

    length, each = token_count(tokens, "--tokens"), token_count(bin_tokens, "--bin")
    if length < LEAST:
        raise UsageError(f"--tokens: {length} token has none before it to be foretold by", fix=f"give {LEAST} or more")
    found, chosen = work.documents(path), work.chosen_methods(methods)
    limit = str(Budget.parse(budget or DEFAULT_BUDGET))
    opening.hush()
    ready = farspan.load(model)
    able = work.fitting_methods(ready, chosen, limit)
    bins: list[LossBin] = []
    try:
        with _kept(out) as keep:
            for name in able.methods:
                if not quiet:
                    show.note(f"{path}, {name}")
                for mean in loss_curve(ready, work.pieces(found), name, tokens=length, budget=limit, bin_tokens=each):
                    bins.append(mean)
                    keep(mean)
    except KeyboardInterrupt:
        show.note("stopped: these are the means until then")
        _tell(bins, able.reasons, as_json)
        raise
    _tell(bins, able.reasons, as_json)
    return FAILED if methods and able.refused else 0


def _tell(bins: list[LossBin], refused: dict[str, str], as_json: bool) -> None:
    if as_json:
        show.as_json({"bins": [asdict(one) for one in bins], "refused": refused})
    else:
        _table(bins)


@contextmanager
def _kept(out: Path | None) -> Iterator[Callable[[LossBin], None]]:
    """Takes means, and has each in the file, where there is one, when it returns."""
    if out is None:
        yield lambda mean: None
        return
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()

        def keep(mean: LossBin) -> None:
            writer.writerow(asdict(mean))
            file.flush()

        yield keep


def _table(bins: list[LossBin]) -> None:
    """Methods against positions; whichever are more go down the page."""
    losses = {(one.method, one.start): f"{one.loss:.3f}" for one in bins}
    names, starts = dict.fromkeys(one.method for one in bins), dict.fromkeys(one.start for one in bins)
    lines = [
        ["tokens", *names],
        *([format_count(at), *(losses.get((name, at), "-") for name in names)] for at in starts),
    ]
    if len(names) > len(starts):
        lines = [list(column) for column in zip(*lines, strict=True)]
    show.table(lines[0], lines[1:])
