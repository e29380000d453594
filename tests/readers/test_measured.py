"""Readers are measured like methods."""

from __future__ import annotations

from pathlib import Path

import pytest

import farspan
from farspan.errors import MethodError
from farspan.evals import Plan
from farspan.evals.api import measured
from farspan.evals.subjects.local import LocalSubject


@pytest.mark.parametrize("history", ["gold", "own"])
def test_a_run_with_readers(tmp_path: Path, history: str) -> None:
    plan = Plan(
        tasks=("needle(needles=2)",),
        methods=("xl3m(segment=200)", "read_twice"),
        lengths=(512,),
        questions=2,
        turns=2,
        modes=("multi_request", "multi_turn"),
        history=history,
        baselines=False,
    )
    outcome, results = measured(plan, LocalSubject(farspan.load()), tmp_path, lambda _: None)
    assert (outcome.answered, outcome.failed) == (8, 0)
    assert {row["method"] for row in results} == {"xl3m(segment=200)", "read_twice"}


def test_a_plan_knows_readers_by_name() -> None:
    with pytest.raises(MethodError, match="did you mean 'xl3m'"):
        Plan(tasks=("needle",), methods=("xl3",)).checked()
