"""Path traversal: the statements alone lead a plain walk to the answer."""

from __future__ import annotations

import random
import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space

_STATEMENT = re.compile(r"^(.+) has a single way out, the (\w+) to (.+)\.$", re.MULTILINE)
_ASKED = re.compile(r"Write the route from (.+?) to (.+?):")


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 600, **knobs: object) -> Sample:
    return tasks.get("path_traversal", **knobs).sample(number, seed=5, space=Space(length, words))


def walked(document: str, query: str) -> list[str]:
    """The route from the statements of a document, with no help from the generator."""
    ways = {start: (vehicle, goal) for start, vehicle, goal in _STATEMENT.findall(document)}
    at, goal = _ASKED.findall(query)[0]
    lines = []
    while at != goal:
        vehicle, after = ways[at]
        lines.append(f"From {at}, take the {vehicle} to {after}.")
        at = after
    return lines


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("turns", [1, 3])
def test_a_walk_along_the_statements_gives_the_answer(number: int, turns: int) -> None:
    sample = drawn(number, turns=turns)
    assert len({turn.query for turn in sample.turns}) == turns
    for turn in sample.turns:
        route = walked(sample.document, turn.query)
        assert turn.answer.splitlines() == ["<Route>", *route, "</Route>"]
        assert len(route) == sample.meta["steps"] >= 2
        assert score("\n".join(turn.answer.splitlines()), turn).value == 1


def test_every_town_has_one_way_out_and_they_are_told_in_no_order() -> None:
    sample = drawn(length=4000)
    starts = [start for start, _, _ in _STATEMENT.findall(sample.document)]
    goals = [goal for _, _, goal in _STATEMENT.findall(sample.document)]
    assert len(starts) == len(set(starts)) == sample.meta["towns"]
    assert set(goals) <= set(starts)
    route = [line.split(", take")[0].removeprefix("From ") for line in sample.turns[0].gold]
    places = [starts.index(town) for town in route]
    assert places != sorted(places) and places != sorted(places, reverse=True)


def test_the_evidence_is_the_statements_of_the_route() -> None:
    sample = drawn(3)
    (turn,) = sample.turns
    told = [sample.document[start:end] for start, end in sample.spans(turn)]
    towns = {line.split(", take")[0].removeprefix("From ") for line in turn.gold}
    assert {_STATEMENT.findall(line)[0][0] for line in told} == towns and len(told) == len(towns)


def test_the_route_takes_about_a_third_and_most_towns_or_as_many_as_told() -> None:
    sample = drawn(length=4000)
    assert 0.25 < words(sample.turns[0].answer) / 4000 < 0.4
    assert sample.meta["steps"] == int(sample.meta["towns"] * 2 / 3) - 1
    all_of_them = drawn(length=4000, share=1.0)
    assert all_of_them.meta["steps"] == all_of_them.meta["towns"] - 1


def test_a_line_gone_wrong_ends_what_counts() -> None:
    (turn,) = drawn().turns
    lines = turn.answer.splitlines()
    wrong = random.Random(0).randrange(1, len(lines) - 1)
    lines[wrong] = "From Nowhere, take the train to Nothing."
    assert score("\n".join(lines), turn).value == (wrong - 1) / len(turn.gold)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="0 of its towns"):
        drawn(share=0)
