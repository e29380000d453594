"""`farspan bench speed`: how fast methods read and write, beside full attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from farspan.cli import opening, show, work
from farspan.cli.options import (
    budget_option,
    debug_option,
    device_option,
    dtype_option,
    json_option,
    model_option,
    quiet_option,
    self_sufficient_option,
    token_counts,
)
from farspan.types import Budget, format_bytes, format_count

if TYPE_CHECKING:
    from farspan.bench.speed import Speed

DEFAULT_BUDGET = "unlimited"
FAILED = 1


@click.command("speed")
@model_option
@self_sufficient_option
@budget_option(DEFAULT_BUDGET)
@dtype_option
@device_option
@click.option("--tokens", default="64K", show_default=True, metavar="N,N,...", help="The lengths, in tokens.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How many each median is of.")
@json_option
@quiet_option
@debug_option
def command(
    model: str | None,
    methods: str | None,
    budget: str | None,
    dtype: str | None,
    device: str | None,
    tokens: str,
    rounds: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show how fast methods read and write after so many tokens, beside full attention.

    Full attention holds everything in memory; so may the methods, unless there is a --budget. They take turns, and the
    ratios say how much faster than full attention a method is. A method that cannot run on this model and budget is
    left out, and a line says why; where it was named, the exit code is then 1. Where a length fails, what was measured
    before is shown.
    """
    import torch

    import farspan
    from farspan.bench.speed import speeds
    from farspan.evals.config import versions

    lengths, chosen = token_counts(tokens, "--tokens"), work.chosen_methods(methods)
    limit = str(Budget.parse(budget or DEFAULT_BUDGET))
    opening.hush()
    ready = farspan.load(model, dtype=dtype, device=device)
    able = work.fitting_methods(ready, chosen, limit)
    settings: dict[str, Any] = {
        "model": ready.name,
        "dtype": ready.dtype,
        "device": str(ready.hosted.device),
        "budget": limit,
    }
    settings |= {"rounds": rounds, "threads": torch.get_num_threads()}
    rows: list[Speed] = []
    try:
        for length in lengths:
            for row in speeds(ready, able.methods, limit, length, rounds=rounds):
                if not quiet:
                    show.note(f"{row.method} at {format_count(length)} tokens")
                rows.append(row)
    finally:
        if rows and as_json:
            shown = {"rows": [asdict(row) for row in rows], **settings, "refused": able.reasons}
            show.as_json({**shown, "versions": versions()})
        elif rows:
            _table(rows)
    return FAILED if methods and able.refused else 0


def _table(rows: Sequence[Speed]) -> None:
    show.table(
        ("method", "after", "reads, tokens/s", "times full", "writes, tokens/s", "times full", "memory"),
        [
            (
                row.method,
                format_count(row.tokens),
                f"{row.read_per_s:,.0f}",
                f"{row.read_ratio:.2f}",
                f"{row.written_per_s:,.0f}",
                f"{row.written_ratio:.2f}",
                format_bytes(row.kv_bytes),
            )
            for row in rows
        ],
    )
