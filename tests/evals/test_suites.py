"""Suites: every task in them exists, and says itself as the suite does."""

from __future__ import annotations

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals import suites


@pytest.mark.parametrize("name", list(suites.suites()))
def test_every_task_of_a_suite_exists(name: str) -> None:
    suite = suites.get(name)
    assert len(set(suite.tasks)) == len(suite.tasks)
    for task in suite.tasks:
        assert str(tasks.parse(task)) == task


def test_the_matrix_asks_in_the_forms_that_the_bundled_model_knows() -> None:
    held = [tasks.parse(task) for task in suites.get("matrix").tasks]
    assert [task.knobs["ask"] for task in held if task.family == "variables"] == ["chain"]
    assert all(task.knobs.get("digits", 5) == 5 for task in held if task.family == "needle")


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(UsageError, match="no suite is called 'rulr'"):
        suites.get("rulr")
