"""`farspan bench serve`: a server under load."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.options import (
    budget_option,
    debug_option,
    dtype_option,
    json_option,
    method_option,
    model_option,
    quiet_option,
    token_count,
)
from farspan.types import format_bytes

DEFAULT_METHOD, DEFAULT_BUDGET = "topk", "32MiB"
_CHARS_A_TOKEN = 4
_IDLE_S = 20.0


@click.command("serve")
@model_option
@method_option(DEFAULT_METHOD)
@budget_option(DEFAULT_BUDGET)
@dtype_option
@click.option("--clients", type=click.IntRange(min=1), default=32, show_default=True, help="Clients at once.")
@click.option("--documents", type=click.IntRange(min=1), default=8, show_default=True, help="Texts they share.")
@click.option("--document-tokens", default="8K", show_default=True, metavar="N", help="About how long these are.")
@click.option("--seconds", type=click.FloatRange(min=1), default=120.0, show_default=True, help="How long they ask.")
@click.option("--long-tokens", default="1M", show_default=True, metavar="N", help="A text read beside short questions.")
@click.option("--memory", default="1GiB", show_default=True, metavar="SIZE", help="As for farspan serve.")
@json_option
@quiet_option
@debug_option
def command(
    model: str | None,
    method: str | None,
    budget: str | None,
    dtype: str | None,
    clients: int,
    documents: int,
    document_tokens: str,
    seconds: float,
    long_tokens: str,
    memory: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what load does to a server of its own.

    First short questions alone and while a long text is read: the ratio of their 95th percentiles. Then many clients
    that ask about shared texts: errors, tokens read beside the least there are to read, and resident memory.
    """
    from farspan.bench.serving.load import beside, load
    from farspan.bench.serving.served import served
    from farspan.evals.config import versions

    long_chars = token_count(long_tokens, "--long-tokens") * _CHARS_A_TOKEN
    chars = token_count(document_tokens, "--document-tokens") * _CHARS_A_TOKEN
    given = {"--model": model, "--dtype": dtype, "--memory": memory}
    given |= {"--method": method or DEFAULT_METHOD, "--budget": budget or DEFAULT_BUDGET}
    options = [word for name, value in given.items() if value for word in (name, value)]
    with tempfile.TemporaryDirectory(prefix="farspan-serve-") as folder, served(Path(folder), options) as server:
        _tell(quiet, f"short questions, alone and beside a text of some {long_tokens} tokens")
        short = beside(server, long_chars, min(seconds, _IDLE_S))
        _tell(quiet, f"{clients} clients, {documents} documents, {seconds:g} s")
        loaded = load(server, clients, documents, chars, seconds)
    if as_json:
        show.as_json({"beside": asdict(short), "load": asdict(loaded), "options": options, "versions": versions()})
        return
    click.echo(
        f"short questions: p95 {short.idle_p95_s:.3f} s idle, {short.reading_p95_s:.3f} s while {short.tokens:,} "
        f"tokens were read, {short.times:.2f} times ({short.idle_questions} and {short.reading_questions} questions)"
    )
    click.echo(
        f"{loaded.clients} clients: {loaded.answers} answers, {loaded.errors} errors {loaded.first_error}\n"
        f"p50 {loaded.p50_s:.2f} s, p95 {loaded.p95_s:.2f} s\n"
        f"tokens read {loaded.read_tokens:,}; documents once and questions {loaded.least_tokens:,} "
        f"({loaded.document_tokens:,} in documents)\n"
        f"resident memory {format_bytes(loaded.early_bytes)} early, {format_bytes(loaded.late_bytes)} late"
    )


def _tell(quiet: bool, line: str) -> None:
    if not quiet:
        show.note(line)
