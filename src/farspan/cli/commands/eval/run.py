"""`farspan eval run`: measure, and write rows, summary and report into a folder."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farspan.cli import progress, show
from farspan.cli.commands.eval.shared import cells_table, check_extra, failure_lines, subject
from farspan.cli.options import (
    budget_option,
    debug_option,
    device_option,
    dtype_option,
    json_option,
    methods_option,
    model_option,
    quiet_option,
    token_counts,
)
from farspan.errors import UsageError

if TYPE_CHECKING:
    from farspan.evals import Outcome, Plan

DEFAULT_BUDGET = "64MiB"
FAILED = 1


@click.command("run")
@click.argument("tasks", nargs=-1, required=True)
@model_option
@methods_option("Methods. [default: all that the budget can hold, but those that re-read]")
@budget_option(DEFAULT_BUDGET)
@click.option("--lengths", "sizes", metavar="N,N,...", help="Tokens of context, question and answer together.")
@click.option("--n", "questions", type=click.IntRange(min=1), help="At least so many questions in every cell.")
@click.option("--turns", type=click.IntRange(min=1), help="Questions on one context.")
@click.option(
    "--modes", metavar="M,M", help="multi_request (each on a copy of the context), multi_turn (a conversation)."
)
@click.option(
    "--history",
    type=click.Choice(["gold", "own"]),
    default="gold",
    show_default=True,
    help="Earlier answers in a conversation: the right ones, or the model's.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses contexts and questions.")
@click.option("--filler", metavar="PATH", help="Hide the facts in this text instead of a synthetic one.")
@click.option(
    "--slack",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Tokens that an answer may take beyond the expected ones.",
)
@click.option(
    "--stop-below",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out longer lengths for a method that scored less than this.",
)
@click.option(
    "--baselines/--no-baselines",
    default=True,
    show_default=True,
    help="Ask without the context too, and with the evidence alone, at the shortest length.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="The folder. [default: runs/<time>]"
)
@click.option("--endpoint", metavar="URL", help="Measure a model behind an OpenAI-compatible endpoint instead.")
@click.option("--tokenizer", metavar="PATH", help="Counts the endpoint's tokens. [default: four characters each]")
@dtype_option
@device_option
@json_option
@quiet_option
@debug_option
def command(
    tasks: tuple[str, ...],
    model: str | None,
    out: Path | None,
    endpoint: str | None,
    tokenizer: str | None,
    dtype: str | None,
    device: str | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Measure TASKS: families, presets, expressions such as "needle(needles=4)", or suites (see eval list).

    Every method gets the same contexts and questions; each context is read before its questions are known. The same
    command with the same -o goes on where it was broken off. A method that cannot run on this model and budget is left
    out, and a line says why. Exits with 1 when something failed, or a method that was named is left out.
    """
    check_extra()
    from farspan.evals.api import measured
    from farspan.evals.results import check_free
    from farspan.evals.summary import summarise

    plan = planned(tasks, endpoint=endpoint is not None, **given).try_out()
    _check_endpoint(endpoint, tokenizer, dtype, given)
    folder = out or Path("runs") / time.strftime("%Y%m%d-%H%M%S")
    note = show.nothing if quiet else show.note
    check_free(folder)
    note(f"results: {folder}")
    measuring = subject(model, endpoint, tokenizer, dtype, device)
    command = shlex.join(["farspan", *sys.argv[1:], *([] if out else ["-o", str(folder)])])
    try:
        with progress.telling(quiet) as tell:
            outcome, results = measured(plan, measuring, folder, tell, warn=show.note, command=command)
    except KeyboardInterrupt:
        show.note(f"stopped: what was answered is kept; the same command with -o {folder} goes on from here")
        raise
    cells = summarise(results.rows)
    if as_json:
        ended = {name: getattr(outcome, name) for name in ("failed", "errors", "left_out", "refused")}
        show.as_json({"folder": str(folder), "cells": cells, **ended})
    else:
        cells_table(cells)
    _tell_end(plan, outcome, folder, note)
    return FAILED if _fell_short(plan, outcome) else 0


def _tell_end(plan: Plan, outcome: Outcome, folder: Path, note: Callable[[str], None]) -> None:
    """How the run went, on stderr; what was not measured, and why, also when quiet."""
    for line in outcome.left_out:
        note(f"left out: {line}, which scored below {plan.stop_below:g} at the length before")
    note(
        f"{outcome.answered:,} questions answered, {outcome.kept:,} were there already, {outcome.failed:,} failed; "
        f"report: {folder / 'report.html'}"
    )
    if outcome.refused:
        show.note(f"left out, since they cannot run on this model and budget: {', '.join(outcome.refused)}")
    failure_lines(outcome)


def _fell_short(plan: Plan, outcome: Outcome) -> bool:
    """Whether something that was asked for is missing; without --method that is what can run, whichever that is."""
    from farspan import methods

    named = set(plan.methods) != set(methods.self_sufficient())
    return bool(outcome.failed or (named and outcome.refused) or not outcome.answered + outcome.kept)


def planned(tasks: tuple[str, ...], *, endpoint: bool = False, **given: Any) -> Plan:
    """What a command line asks for, checked; what it does not say comes from the suite that it names."""
    from farspan import methods
    from farspan.evals import Plan, suites
    from farspan.evals.plan import ENDPOINT
    from farspan.tasks.kit.expression import listed

    names = [name for text in tasks for name in listed(text)]
    known = suites.suites()
    named = [known[name] for name in names if name in known]
    if len(named) > 1:
        raise UsageError(f"{len(named)} suites have sizes of their own", fix="run them one after the other")
    suite = named[0] if named else suites.Suite(about="", tasks=(), lengths=(1024, 4096))
    every = [one for name in names for one in (known[name].tasks if name in known else (name,))]
    chosen = tuple(listed(given["methods"] or "")) or suite.methods or tuple(methods.self_sufficient())
    plan = Plan(
        tasks=tuple(every),
        methods=(ENDPOINT,) if endpoint else chosen,
        lengths=token_counts(given["sizes"], "--lengths") if given["sizes"] else suite.lengths,
        budget=given["budget"] or DEFAULT_BUDGET,
        questions=given["questions"] or suite.questions,
        turns=given["turns"] or suite.turns,
        modes=tuple(listed(given["modes"] or "")) or suite.modes,
        history=given["history"],
        baselines=given["baselines"],
        stop_below=given["stop_below"],
        seed=given["seed"],
        slack=given["slack"],
        **_filler(given["filler"]),
    )
    return plan.checked()


def _check_endpoint(endpoint: str | None, tokenizer: str | None, dtype: str | None, given: dict[str, Any]) -> None:
    """Options that would say nothing are refused: a server has its own method, memory and number type."""
    if endpoint is None and tokenizer is not None:
        raise UsageError("--tokenizer counts for an --endpoint", fix="leave it out: a model brings its own")
    told = {"--method": given["methods"], "--budget": given["budget"], "--dtype": dtype}
    if endpoint is not None and (idle := [option for option, value in told.items() if value]):
        raise UsageError(f"{idle[0]} says nothing to an endpoint", fix="set it where the model is served")


def _filler(path: str | None) -> dict[str, Any]:
    """The user's text as filler, named by its file and a hash of it."""
    if path is None:
        return {}
    import hashlib

    from farspan.cli import work
    from farspan.tasks import Text

    text = "".join(work.pieces(work.documents(Path(path))))
    return {"filler": Text(text), "filler_name": f"{Path(path).name} {hashlib.sha256(text.encode()).hexdigest()[:16]}"}
