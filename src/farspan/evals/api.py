"""The measuring suite from Python in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farspan.evals.config import describe
from farspan.evals.fitting import fitting
from farspan.evals.plan import Plan
from farspan.evals.results import Results
from farspan.evals.runner import Outcome, Tell, run
from farspan.evals.subjects import Subject

if TYPE_CHECKING:
    from farspan.engine import Model


def evaluate(
    model: Model, tasks: Sequence[str], folder: Path | str, *, tell: Tell = lambda _: None, **options: Any
) -> tuple[Outcome, Results]:
    """Measure a loaded model on tasks and write rows, summary and report into `folder`; go on where it was broken off.

    options: the fields of `Plan`, such as `methods=("full", "topk")`, `lengths=(1024, 4096)`, `questions=200`.
    A method that cannot run on this model and budget is left out, and `Outcome.refused` says why.
    Raises UsageError and InputError for what cannot be measured, also when the folder holds rows of another run; and
    the error of the first method when none can run.
    """
    from farspan.evals.subjects.local import LocalSubject

    return measured(Plan(tasks=tuple(tasks), **options).try_out(), LocalSubject(model), Path(folder), tell)


def measured(
    plan: Plan, subject: Subject, folder: Path, tell: Tell, *, warn: Tell = lambda _: None, command: str = ""
) -> tuple[Outcome, Results]:
    """Run a plan on a subject in a folder of its own; the report is written at the end, also when it was broken off.

    `warn` is called at once with a line for every method that cannot run here, and so is left out. `command` is what a
    reader has to type to do it again.
    """
    plan = plan.checked()
    found = fitting(subject, plan.methods, plan.budget)
    found.tell(warn)
    plan = replace(plan, methods=found.methods)
    config = {**describe(plan, subject), "left_out": found.reasons, **({"command": command} if command else {})}
    with Results.begin(folder, config) as results:
        try:
            outcome = run(plan, subject, results, tell)
            outcome.refused = found.reasons
        except BaseException as error:
            _report_anyway(results, error)
            raise
        _report(results)
    return outcome, results


def _report(results: Results) -> None:
    """Report on what there is, if there is anything."""
    from farspan.evals import report

    if rows := results.rows:
        report.write(results.folder, rows, results.config)


def _report_anyway(results: Results, error: BaseException) -> None:
    """The same after a run that was broken off; a report that fails too does not hide why that was."""
    try:
        _report(results)
    except Exception as second:
        error.add_note(f"the report could not be written either: {second}")
