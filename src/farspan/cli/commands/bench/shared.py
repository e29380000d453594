"""What the benchmarks share: lengths in tokens, the versions that were measured, rows of recall."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farspan import __version__
from farspan.cli import show
from farspan.cli.options import Command, Option
from farspan.errors import BudgetError, UsageError
from farspan.types import Size, format_count

if TYPE_CHECKING:
    from farspan.evals import Row


def tokens_option(default: str | None) -> Option:
    """`--tokens`, a list of lengths."""
    text = "The lengths to read, in tokens." if default else "How many tokens of it to read. [default: the whole]"
    return click.option("--tokens", default=default, show_default=bool(default), metavar="N,N,...", help=text)


def rows_option(command: Command) -> Command:
    """`--rows`: where every question goes."""
    path = click.Path(dir_okay=False, writable=True, path_type=Path)
    option = click.option("--rows", type=path, metavar="FILE", help="Write a line of JSON for every question there.")
    return option(command)


def lengths(text: str) -> list[int]:
    """The lengths in `"64K,1M"`. Raises UsageError for anything else."""
    try:
        sizes = [Size.parse(part) for part in text.split(",")]
    except BudgetError as error:
        raise UsageError(f"--tokens {text!r}: {error.message}", fix="write --tokens 64K,256K,1M") from None
    if any(size.unit != "tokens" or not size.amount for size in sizes):
        raise UsageError(f"--tokens {text!r} is not a list of token counts", fix="write --tokens 64K,256K,1M")
    return [size.amount for size in sizes]


def versions() -> dict[str, str]:
    """The versions that a figure depends on."""
    return {"farspan": __version__, **{name: version(name) for name in ("torch", "transformers")}}


def report(rows: Iterable[Row], settings: dict[str, Any], path: Path | None, *, as_json: bool) -> None:
    """Take rows as they are measured, write each to `path`, and show what they come to."""
    import json

    from farspan.evals import summary

    kept = []
    for row in rows:
        kept.append(row)
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row.as_dict()) + "\n")
    cells = summary(kept)
    if as_json:
        show.as_json({"rows": cells, **settings, "versions": versions()})
        return
    show.table(
        ("task", "method", "tokens", "questions", "contexts", "correct", "top source", "read tokens/s", "s an answer"),
        [
            (
                cell["task"],
                cell["method"],
                format_count(cell["tokens"]),
                str(cell["questions"]),
                str(cell["contexts"]),
                f"{cell['correct']:.2f}",
                f"{cell['sourced']:.2f}",
                f"{cell['read_tokens_per_s']:,.0f}",
                f"{cell['answer_s']:.2f}",
            )
            for cell in cells
        ],
    )
