"""What the commands of `farspan eval` share: lists on the command line, the extra they need, tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farspan.cli import opening, show
from farspan.cli.options import Option
from farspan.types import format_bytes, format_count

if TYPE_CHECKING:
    from farspan.evals import Outcome
    from farspan.evals.subjects import Subject

_MOST_REASONS = 5
_EXTRA = ("scipy", "matplotlib", "jinja2", "rapidfuzz")


def folder_argument(name: str = "folder") -> Option:
    """A folder that `farspan eval run -o` wrote."""
    return click.argument(name, type=click.Path(path_type=Path, file_okay=False))


def check_extra() -> None:
    """Raise UsageError before anything is measured when what scores and draws is not installed."""
    from farspan.evals.extra import need

    for name in _EXTRA:
        need(name)


def subject(
    model: str | None, endpoint: str | None, tokenizer: str | None, dtype: str | None, device: str | None
) -> Subject:
    """The model to be measured: in this process, or behind an endpoint."""
    if endpoint is not None:
        from farspan.evals.subjects.endpoint import EndpointSubject

        return EndpointSubject(endpoint, model, tokenizer)
    import farspan
    from farspan.evals.subjects.local import LocalSubject

    opening.hush()
    return LocalSubject(farspan.load(model, dtype=dtype, device=device))


def cells_table(cells: Sequence[dict[str, Any]]) -> None:
    """The cells of a summary, a line each."""
    show.table(
        (
            "task",
            "context",
            "mode",
            "method",
            "budget",
            "tokens",
            "n",
            "contexts",
            "score",
            "95% interval",
            "failed",
            "device",
        ),
        [
            (
                cell["task"],
                cell["context"],
                cell["mode"],
                cell["method"],
                cell["budget"] or "-",
                format_count(cell["length"]) if cell["length"] else "native",
                str(cell["questions"]),
                str(cell["contexts"]),
                *_score(cell),
                str(cell["failed"]),
                format_bytes(int(cell["device_bytes"] or 0)),
            )
            for cell in cells
        ],
    )


def failure_lines(outcome: Outcome) -> None:
    """Why questions failed, on stderr: each reason once, the most frequent first."""
    from farspan.evals.summary import why_failed

    told = why_failed(outcome.errors.elements())
    for why, count in told[:_MOST_REASONS]:
        show.note(f"failed: {count:,} question{'s' if count > 1 else ''}: {why}")
    if left := told[_MOST_REASONS:]:
        show.note(f"failed: {sum(count for _, count in left):,} more, for {len(left)} other reasons: see the report")


def _score(cell: dict[str, Any]) -> tuple[str, str]:
    if cell["score"] is None:
        return "-", "-"
    return f"{cell['score']:.2f}", f"{cell['low']:.2f} to {cell['high']:.2f}"
