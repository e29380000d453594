"""Methods that cannot run are found before anything is measured; the others are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from farspan.errors import BudgetError
from farspan.evals import Plan
from farspan.evals.api import measured
from farspan.evals.fitting import fitting
from farspan.evals.results import CONFIG
from farspan.evals.summary import why_failed
from tests.evals.fake import FakeSubject


def test_those_that_cannot_run_are_told_apart_with_their_reasons() -> None:
    found = fitting(FakeSubject(), ("lm_infinite", "full"), "8MiB")
    assert found.methods == ("full",)
    assert found.reasons == {"lm_infinite": "8MiB are too few; give 16MiB"}


def test_where_none_can_run_the_first_error_is_raised(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"^8MiB are too few"):
        fitting(FakeSubject(), ("lm_infinite",), "8MiB")
    plan = Plan(tasks=("needle",), methods=("lm_infinite", "lm_infinite(n_global=1)"), lengths=(300,))
    with pytest.raises(BudgetError, match="none of the 2 methods can run; the first, lm_infinite"):
        measured(plan, FakeSubject(), tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


def test_a_run_measures_the_others_and_keeps_the_reasons(tmp_path: Path) -> None:
    told: list[str] = []
    plan = Plan(tasks=("needle(turns=2)",), methods=("lm_infinite", "full"), lengths=(300,), questions=2)
    outcome, results = measured(plan, FakeSubject(), tmp_path, lambda _: None, warn=told.append)
    assert {row["method"] for row in results} == {"full"} and not outcome.failed
    assert {row["context"] for row in results} == {"full", "none", "evidence"}
    assert told == [f"left out: {method}: {why}" for method, why in outcome.refused.items()]
    assert results.config["left_out"] == outcome.refused and (tmp_path / CONFIG).is_file()
    assert "8MiB are too few" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    errors = ["A: read 1,024 of 9", "B: no", "A: read 20 of 4.5", "A: read none"]
    assert why_failed(errors) == [("A: read 1,024 of 9", 2), ("B: no", 1), ("A: read none", 1)]
