"""`farspan bench memory`: that memory does not grow with the text, and how fast it is read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from farspan.cli import show
from farspan.cli.options import (
    budget_option,
    debug_option,
    device_option,
    dtype_option,
    json_option,
    method_option,
    model_option,
    quiet_option,
    token_counts,
)
from farspan.errors import FarspanError
from farspan.types import Budget, format_bytes, format_count

DEFAULT_METHOD = "infllm"
DEFAULT_BUDGET = "32MiB"


@click.command("memory")
@model_option
@method_option(DEFAULT_METHOD)
@budget_option(DEFAULT_BUDGET)
@dtype_option
@device_option
@click.option(
    "--tokens", default="64K,256K,1M", show_default=True, metavar="N,N,...", help="The lengths to read, in tokens."
)
@json_option
@quiet_option
@debug_option
def command(
    model: str | None,
    method: str | None,
    budget: str | None,
    dtype: str | None,
    device: str | None,
    tokens: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show that memory does not grow with the text.

    Reads generated texts of several lengths and reports the peak of resident memory while each was read, and the
    speed. Every length is read by a process of its own. A method that keeps its promise shows the same peak for all.
    Where a length fails, those before it are shown.
    """
    from farspan import readers
    from farspan.evals.config import versions

    settings = {
        "model": model,
        "method": str(readers.parse_method(method or DEFAULT_METHOD)),
        "budget": str(Budget.parse(budget or DEFAULT_BUDGET)),
        "dtype": dtype,
        "device": device,
    }
    rows: list[dict[str, Any]] = []
    lengths = token_counts(tokens, "--tokens")
    try:
        for length in lengths:
            if not quiet:
                show.note(f"reading {format_count(length)} tokens")
            rows.append(_measured({**settings, "tokens": length}))
    finally:
        if rows and as_json:
            show.as_json({"rows": rows, **settings, "versions": versions()})
        elif rows:
            _show(rows)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table; what tensors take on a GPU stands apart from what the process has resident."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "tokens": lambda row: format_count(row["tokens"]),
        "peak": lambda row: format_bytes(row["peak_bytes"]),
        "model loaded": lambda row: format_bytes(row["loaded_bytes"]),
    }
    if rows[0]["device_peak_bytes"] is not None:
        columns["peak on the GPU"] = lambda row: format_bytes(row["device_peak_bytes"])
        columns["model loaded there"] = lambda row: format_bytes(row["device_loaded_bytes"])
    columns |= {
        "KV on the device": lambda row: format_bytes(row["context"]["kv_bytes"]["device"]),
        "KV on disk": lambda row: format_bytes(row["context"]["kv_bytes"]["disk"]),
        "tokens/s": lambda row: f"{row['tokens_per_s']:,.0f}",
    }
    show.table(tuple(columns), [tuple(cell(row) for cell in columns.values()) for row in rows])
    if not all(row["peak_is_of_reading"] for row in rows):
        show.note("note: this system does not let a peak begin anew, so that of loading the model is in each of them")


def _measured(settings: dict[str, Any]) -> dict[str, Any]:
    """One row, from a process of its own; its errors are passed on as they are."""
    run = subprocess.run(
        [sys.executable, "-P", "-m", "farspan.bench.memory", json.dumps(settings)], capture_output=True, text=True
    )
    try:
        row: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = run.stderr.strip().splitlines()[-1:] or [f"it ended with code {run.returncode}"]
        raise FarspanError(
            f"reading {settings['tokens']:,} tokens failed: {last[0]}", fix="try a shorter --tokens"
        ) from None
    if "error" in row:
        failure = FarspanError(row["error"], fix=row["fix"])
        failure.exit_code = row["exit_code"]
        raise failure
    return row
