"""The measuring suite from Python in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farspan.evals.config import describe
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
    Raises UsageError for what cannot be measured, and when the folder holds rows of another run.
    """
    from farspan.evals.subjects.local import LocalSubject

    return measured(Plan(tasks=tuple(tasks), **options), LocalSubject(model), Path(folder), tell)


def measured(plan: Plan, subject: Subject, folder: Path, tell: Tell, *, command: str = "") -> tuple[Outcome, Results]:
    """Run a plan on a subject in a folder of its own; the report is written at the end, also when it was broken off.

    `command` is what a reader has to type to do it again.
    """
    plan = plan.checked()
    config = {**describe(plan, subject), **({"command": command} if command else {})}
    with Results.begin(folder, config) as results:
        try:
            outcome = run(plan, subject, results, tell)
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
