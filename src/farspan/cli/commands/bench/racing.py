"""What `farspan bench decode` and `farspan bench prefill` share: their options, and how a contest is shown."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from farspan.cli import opening, show
from farspan.cli.options import (
    Option,
    budget_option,
    debug_option,
    device_option,
    dtype_option,
    grouped,
    json_option,
    method_option,
    named_model_option,
    quiet_option,
    token_count,
    token_counts,
)
from farspan.errors import UsageError
from farspan.types import Budget, format_count

if TYPE_CHECKING:
    from farspan import Model
    from farspan.bench.contest import Contest
    from farspan.bench.race import Job

DEFAULT_METHOD, DEFAULT_BUDGET, DEFAULT_SHAPE = "infllm", "unlimited", "llama-135m"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOptions:
    """The model or shape, what reads it and how far, who else takes part, and what is shown."""

    model: str | None
    shape: str | None
    window: str | None
    method: str | None
    budget: str | None
    dtype: str | None
    device: str | None
    tokens: str
    rounds: int
    threads: int | None
    peer_tokens: str
    llama_cpp: str
    kvpress: str
    alone: bool
    profile: bool
    as_json: bool
    quiet: bool


def _interpreter_option(name: str, program: str) -> Option:
    told = f"A Python that has {program}. [default: this one]"
    return click.option(name, default=sys.executable, metavar="PYTHON", help=told)


race_options = grouped(
    "options",
    RaceOptions,
    [
        named_model_option(f"--shape {DEFAULT_SHAPE}"),
        click.option("--shape", metavar="NAME", help="A model of random weights instead: llama-135m, llama-8b."),
        click.option(
            "--window", metavar="N", help="The window that the shape is said to be trained for. [default: 8K]"
        ),
        method_option(DEFAULT_METHOD),
        budget_option(DEFAULT_BUDGET),
        dtype_option,
        device_option,
        click.option("--tokens", default="8K", show_default=True, metavar="N,N,...", help="The lengths, in tokens."),
        click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns in a median."),
        click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads of each. [default: torch's]"),
        click.option(
            "--peer-tokens", default="8K", show_default=True, metavar="N", help="The longest length for the others."
        ),
        _interpreter_option("--llama-cpp", "llama-cpp-python"),
        _interpreter_option("--kvpress", "kvpress"),
        click.option("--alone", is_flag=True, help="farspan only."),
        click.option("--profile", is_flag=True, help="Say where farspan's time goes."),
        json_option,
        quiet_option,
        debug_option,
    ],
)


def run(
    job: Job, options: RaceOptions, heads: tuple[str, str], written: Callable[[float], str], sessions: int = 1
) -> None:
    """Hold the contest that the options describe and show it.

    `heads` stand above what a token takes and its ceiling; `written` writes either, given milliseconds. With several
    `sessions`, so many that write at once take part as well.
    """
    import torch

    from farspan import readers
    from farspan.bench.contest import contest
    from farspan.bench.contestants import Peers
    from farspan.evals.config import versions

    lengths = token_counts(options.tokens, "--tokens")
    method = readers.parse_method(options.method or DEFAULT_METHOD)
    budget = Budget.parse(options.budget or DEFAULT_BUDGET)
    most = token_count(options.peer_tokens, "--peer-tokens")
    if not options.alone:
        _check_interpreters(options)
    model = _model(options)
    result = contest(
        job,
        model,
        method,
        budget,
        lengths,
        rounds=options.rounds,
        peers=None if options.alone else Peers(tokens=most, llama_cpp=options.llama_cpp, kvpress=options.kvpress),
        profile=options.profile,
        note=show.nothing if options.quiet else show.note,
        sessions=sessions,
    )
    if options.as_json:
        settings = {"method": str(method), "budget": str(budget), "tokens": lengths, "peer_tokens": most}
        settings |= {
            "rounds": options.rounds,
            "sessions": sessions,
            "threads": torch.get_num_threads(),
            **_described(model),
        }
        all_versions = {**versions(), **result.versions}
        show.as_json({**result.as_dict(), "settings": settings, "versions": all_versions})
    else:
        _show(result, heads, written)
    if result.failure is not None:
        raise result.failure


def _check_interpreters(options: RaceOptions) -> None:
    """Raise UsageError for one that is not there, before anything is read."""
    for name, python in (("--llama-cpp", options.llama_cpp), ("--kvpress", options.kvpress)):
        if shutil.which(python) is None:
            raise UsageError(
                f"{name}: {python} cannot be started", fix="give the path of an interpreter, such as env/bin/python"
            )


def _described(model: Model) -> dict[str, Any]:
    hosted = model.hosted
    return {"model": model.name, "window": model.window, "dtype": model.dtype, "device": str(hosted.device)}


def _model(options: RaceOptions) -> Model:
    """The model, or the one of random weights, with torch's threads set. A shape goes before FARSPAN_MODEL."""
    import torch

    import farspan
    from farspan.bench.shapes import random_model

    name = options.model
    if options.shape and click.get_current_context().get_parameter_source("model") is ParameterSource.ENVIRONMENT:
        name = None
    if name and (options.shape or options.window):
        raise UsageError(f"--model {name} has a shape and a window", fix="leave out --shape and --window")
    window = token_count(options.window, "--window") if options.window else None
    if options.threads:
        torch.set_num_threads(options.threads)
    opening.hush()
    if name:
        return farspan.load(name, dtype=options.dtype, device=options.device)
    return random_model(options.shape or DEFAULT_SHAPE, window=window, dtype=options.dtype, device=options.device)


def _show(result: Contest, heads: tuple[str, str], written: Callable[[float], str]) -> None:
    taken, ceiling = heads
    show.table(
        ("", "after", taken, "times ours", "times its shortest", ceiling, "reached"),
        [
            (
                row.name,
                format_count(row.tokens),
                written(row.ms),
                f"{row.ratio:.2f}",
                f"{row.growth:.2f}",
                written(row.ceiling_ms),
                f"{row.share:.0%}",
            )
            for row in result.rows
        ],
    )
    for name, reason in result.absent.items():
        click.echo(f"{name}: {reason}")
    for tokens, parts in result.profiles.items():
        click.echo()
        show.table(
            (f"farspan after {format_count(tokens)}", "ms a token", "share"),
            [(part.name, f"{part.ms:.2f}", f"{part.share:.0%}") for part in parts],
        )
