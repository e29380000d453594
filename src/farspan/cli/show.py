"""How answers, sources and counts are written: the answer on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from farspan import telling

if TYPE_CHECKING:
    from farspan.cli.options import OutputOptions
    from farspan.types import Counts, Usage


def note(line: str) -> None:
    """Write one line on stderr."""
    click.echo(line, err=True)


def nothing(_line: str) -> None:
    """Write nothing: what takes the place of `note` when quiet."""


def notice(output: OutputOptions) -> Callable[[str], None]:
    """What writes a line that a user who wants quiet does not want."""
    return nothing if output.quiet else note


def as_json(value: Mapping[str, Any]) -> None:
    """Write one JSON object on stdout. What is not UTF-8 in a file's name is escaped as JSON escapes it."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())


def context(method: str, counts: Counts) -> dict[str, Any]:
    """The account as the `context` member of a JSON answer."""
    return {"method": method, **counts.as_dict()}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write columns on stdout, aligned; numbers (cells that begin with a digit) to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    numeric = [all(line[column][:1].isdigit() for line in lines[1:]) for column in range(len(heads))]
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def usage(tokens: Usage) -> str:
    """The tokens that an answer took, on one line."""
    return "usage: " + " | ".join(f"{name} {value:,}" for name, value in tokens.as_dict().items())


def footer(answer: Any, method: str, output: OutputOptions) -> None:
    """Write what belongs below an answer on stderr: sources and account unless quiet, tokens if asked for."""
    if not output.quiet:
        if answer.sources:
            note("sources:")
        for line in telling.source_lines(answer.sources):
            note(line)
        note(telling.account(method, answer.counts))
    if output.usage:
        note(usage(answer.usage))
