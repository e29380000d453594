"""Guess: replies that know nothing of the context earn what the cards say that the best of them does."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping

import pytest
from click.testing import CliRunner

from farspan import tasks
from farspan.cli.app import app
from farspan.evals.report import names
from farspan.evals.scorers import score
from farspan.tasks import Space, Turn

_SAMPLES = 400


def _words(text: str) -> int:
    return len(text.split())


def _abstain(_turn: Turn) -> str:
    return "Not known, it is not mentioned."


def _first_option(turn: Turn) -> str:
    return re.findall(r": (.+?),", turn.query)[0]


def _shown_order(turn: Turn) -> str:
    return turn.query.rpartition(": ")[2].rstrip("?. ")


def _first_deed(turn: Turn) -> str:
    """The first thing that is named, the order that is shown, or a usual number of days."""
    if found := re.fullmatch(r"Which came first, that I (.+) or that I .+\?", turn.query):
        return found[1]
    return "9" if "How many days" in turn.query else _shown_order(turn)


_STRATEGIES: Mapping[str, Callable[[Turn], str]] = {
    "longbio_idk": _abstain,
    "longbio_rank": _shown_order,
    "longbio_rank_5": _shown_order,
    "session_abstention": _abstain,
    "session_preference": _first_option,
    "session_temporal": _first_deed,
    "updates_deleted": _abstain,
}


@pytest.mark.parametrize("name", _STRATEGIES)
def test_a_reply_without_the_context_earns_the_guess(name: str) -> None:
    task = tasks.get(name)
    drawn = list(task.samples(_SAMPLES, seed=11, space=Space(512, _words)))
    values = [score(_STRATEGIES[name](turn), turn).value for sample in drawn for turn in sample.turns]
    assert task.guess > task.chance
    assert abs(statistics.fmean(values) - task.guess) <= 0.02 + 3 * statistics.pstdev(values) / math.sqrt(len(values))


def test_the_guess_is_that_of_the_nearest_preset_or_chance() -> None:
    assert tasks.get("updates", kind="deleted").guess == tasks.get("updates_deleted").guess == 0.5
    assert tasks.get("updates_times").guess == tasks.get("updates_times").chance > 0
    assert tasks.get("needle").guess == tasks.get("needle").chance == 0


def test_the_guess_is_shown() -> None:
    assert names._card("updates_deleted")[1][-1] == "guess 50"
    listed = CliRunner().invoke(app, ["eval", "list"]).output
    assert re.search(r"^task +scope +diffusion +guess ", listed)
    assert re.search(r"^updates_deleted +0\.50 ", listed, re.MULTILINE)
