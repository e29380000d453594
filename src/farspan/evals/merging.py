"""Runs that were measured alike become one: on several machines, in several processes, method by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from farspan.errors import UsageError
from farspan.evals.config import difference, joined
from farspan.evals.results import CONFIG, UNIT, Key, Results, Row, key_of


def merge(folders: Sequence[Path], target: Path) -> Results:
    """Write the rows of several runs into the new folder `target`, and return them; the runs stay as they are.

    A context that several runs read with one method and budget, and asked in one mode, is taken whole from the last of
    them that answered most of its questions. The configuration says of each run by which command, on which machine and
    with which versions it was measured. Raises UsageError when the runs differ in what must be equal (model, number
    type, seed, filler and the like), asked other questions under one name, or `target` holds files; InputError for a
    folder without results.
    """
    if (target / CONFIG).exists():
        raise UsageError(f"{target} holds results already", fix="give a new folder")
    runs = {str(folder): Results.open(folder) for folder in folders}
    contexts: dict[Key, list[Row]] = {}
    prompts: dict[Key, str] = {}
    for folder, run in runs.items():
        _check_same(folder, prompts, run)
        for context, rows in _by_context(run).items():
            if _answered(rows) >= _answered(contexts.get(context, [])):
                contexts[context] = rows
    with Results.begin(target, _one_config(runs)) as merged:
        merged.replace(row for rows in contexts.values() for row in rows)
    return merged


def _one_config(runs: Mapping[str, Results]) -> dict[str, Any]:
    configs = [(folder, run.config) for folder, run in runs.items()]
    for folder, config in configs[1:]:
        if told := difference(*configs[0], folder, config):
            raise UsageError(told, fix="merge runs that differ in tasks, methods, budgets and lengths alone")
    return joined(configs)


def _by_context(run: Results) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in run:
        found.setdefault(key_of(row, (*UNIT, "mode")), []).append(row)
    return found


def _answered(rows: Sequence[Row]) -> int:
    return sum(not row["error"] for row in rows)


def _check_same(folder: str, prompts: dict[Key, str], run: Results) -> None:
    """Add a run's prompts to those of the runs before it, by context and turn."""
    for row in run:
        if not row["error"] and row["prompt_sha"] != prompts.setdefault(
            key_of(row, ("sample", "turn")), row["prompt_sha"]
        ):
            raise UsageError(
                f"{folder} holds other questions than the folders before it under the name {row['sample']}",
                fix="a file or generator has changed between the runs: measure again",
            )
