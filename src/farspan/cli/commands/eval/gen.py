"""`farspan eval gen`: write the samples of a task, to be looked at or used elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from farspan.cli.commands.eval.run import planned
from farspan.cli.commands.eval.shared import subject
from farspan.cli.options import debug_option, model_option, out_file_option


@click.command("gen")
@click.argument("task")
@model_option
@click.option("--lengths", "sizes", default="1K", show_default=True, metavar="N,N,...", help="Tokens of everything.")
@click.option(
    "--n", "contexts", type=click.IntRange(min=1), default=1, show_default=True, help="Contexts of each length."
)
@click.option("--turns", type=click.IntRange(min=1), help="Questions on one context.")
@click.option("--modes", metavar="M,M", help="A conversation (multi_turn) makes room for all of its turns.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses contexts and questions.")
@click.option("--filler", metavar="PATH", help="Hide the facts in this text instead of a synthetic one.")
@click.option("--slack", type=click.IntRange(min=0), default=24, show_default=True, help="Spare tokens of an answer.")
@out_file_option("A file. [default: stdout]")
@debug_option
def command(
    task: str,
    model: str | None,
    sizes: str,
    contexts: int,
    turns: int | None,
    modes: str | None,
    seed: int,
    filler: str | None,
    slack: int,
    out: Path | None,
) -> None:
    """Write samples of TASK as lines of JSON: segments, turns with answers and evidence, labels.

    They are counted in the tokens of the model, whose tokenizer and template decide what fits.
    """
    plan = planned(
        (task,), methods="full", sizes=sizes, budget=None, questions=None, turns=turns, modes=modes, history="gold",
        baselines=False, stop_below=0.0, seed=seed, slack=slack, filler=filler,
    ).try_out()  # fmt: skip
    measured = subject(model, None, None, None, None)
    with click.open_file(str(out) if out else "-", "w", encoding="utf-8") as file:
        for cell in plan.cells():
            space = plan.space(cell, measured.count, measured.frame)
            for number, sample in enumerate(cell.task.samples(contexts, seed=seed, space=space)):
                record = {
                    "task": str(cell.task),
                    "length": cell.length,
                    "number": number,
                    "seed": seed,
                    "tokens": space.total(sample),
                    **sample.as_dict(),
                }
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()
