"""Extremes: the numbers are read back from the text, and the standard library answers the questions."""

from __future__ import annotations

import re
from collections import Counter
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space

_WORD = re.compile(r"\w+|[^\w\s]")
_ORDER = {"": 0, "second ": 1, "third ": 2}


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 1000, **knobs: object) -> Sample:
    return tasks.get("extremes", **knobs).sample(number, seed=5, space=Space(length, count))


def right(numbers: list[int], query: str) -> float:
    match = re.match(r"What is the (second |third |)(largest|smallest|median) number of the list\?", query)
    assert match is not None
    if match[2] == "median":
        return median(numbers)
    return sorted(set(numbers), reverse=match[2] == "largest")[_ORDER[match[1]]]


@settings(max_examples=25, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(200, 4000), rare=st.booleans())
def test_the_standard_library_agrees(number: int, length: int, rare: bool) -> None:
    sample = drawn(number, length, rare=rare, turns=9)
    numbers = [int(one) for one in sample.document.split(", ")]
    assert len(numbers) % 2 == 1
    assert 0 <= min(numbers) <= 40
    assert 60 <= max(numbers) <= 99
    assert len({turn.query for turn in sample.turns}) == 7
    for turn in sample.turns:
        assert float(turn.answer) == right(numbers, turn.query)
        assert score(turn.answer, turn).value == 1
        assert score(str(right(numbers, turn.query) + 1), turn).value == 0


def test_rare_extremes_stand_once_however_long_the_list() -> None:
    found = Counter(drawn(0, 20_000).document.split(", "))
    values = sorted(found, key=int)
    assert [found[value] for value in (*values[:3], *values[-3:])] == [1] * 6
    plain = Counter(drawn(0, 20_000, rare=False).document.split(", "))
    assert sum(times for times in plain.values() if times > 1) > 0.9 * sum(plain.values())


def test_lists_differ_in_their_range_and_median() -> None:
    lists = [[int(one) for one in drawn(number).document.split(", ")] for number in range(30)]
    assert len({max(one) for one in lists}) > 10
    assert len({min(one) for one in lists}) > 10
    assert len({median(one) for one in lists}) > 10
