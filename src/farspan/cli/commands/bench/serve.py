"""`farspan bench serve`: a server under load."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from farspan.cli import show
from farspan.cli.kinds import BYTES
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
from farspan.types import Budget, Size, format_bytes

if TYPE_CHECKING:
    from farspan.bench.serving.load import Beside, Load

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
@click.option("--memory", type=BYTES, default="1GiB", show_default=True, help="As for farspan serve.")
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
    memory: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what load does to a server of its own.

    First short questions alone and while a long text is read: the ratio of their 95th percentiles. Then many clients
    that ask about shared texts: errors, tokens read beside every document once and every question, and resident memory.
    """
    from farspan import readers
    from farspan.bench.serving.load import beside, load
    from farspan.bench.serving.served import served
    from farspan.evals.config import versions

    long_chars = token_count(long_tokens, "--long-tokens") * _CHARS_A_TOKEN
    chars = token_count(document_tokens, "--document-tokens") * _CHARS_A_TOKEN
    given = {"--model": model, "--dtype": dtype, "--memory": str(Size(memory))}
    given["--method"] = str(readers.parse_method(method or DEFAULT_METHOD))
    given["--budget"] = str(Budget.parse(budget or DEFAULT_BUDGET))
    options = [word for name, value in given.items() if value for word in (name, value)]
    tell, say = show.nothing if quiet else show.note, show.nothing if as_json else click.echo
    with served(options) as server:
        tell(f"short questions, alone and beside a text of some {long_tokens} tokens")
        short = beside(server, long_chars, min(seconds, _IDLE_S))
        say(_of_short(short))
        tell(f"{clients} clients, {documents} documents, {seconds:g} s")
        loaded = load(server, clients, documents, chars, seconds)
        say(_of_load(loaded))
    if as_json:
        show.as_json({"beside": asdict(short), "load": asdict(loaded), "options": options, "versions": versions()})


def _of_short(short: Beside) -> str:
    return (
        f"short questions: p95 {short.idle_p95_s:.3f} s idle, {short.reading_p95_s:.3f} s while {short.tokens:,} "
        f"tokens were read, {short.times:.2f} times ({short.idle_questions} and {short.reading_questions} questions, "
        f"{short.written_tokens:g} tokens written for each)"
    )


def _of_load(loaded: Load) -> str:
    memory = "not told by this system"
    if loaded.early_bytes is not None and loaded.late_bytes is not None:
        memory = f"{format_bytes(loaded.early_bytes)} early, {format_bytes(loaded.late_bytes)} late"
    return (
        f"{loaded.clients} clients: {loaded.answers} answers, {loaded.errors} errors {loaded.first_error}\n"
        f"p50 {loaded.p50_s:.2f} s, p95 {loaded.p95_s:.2f} s\n"
        f"tokens read {loaded.read_tokens:,}; documents once and questions {loaded.once_tokens:,} "
        f"({loaded.document_tokens:,} in documents)\n"
        f"resident memory {memory}"
    )
