"""Countdown: every equation that is written down holds, and the search misses nothing."""

from __future__ import annotations

import random
import re
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks.material.numbers_game import draw, steps

_EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
_STATED = re.compile(r"Numbers: ([\d, ]+)\. Target: (\d+)\.")
_SOLUTION = re.compile(r"<Solution>\n(.*?)\n</Solution>", re.DOTALL)


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 900, **knobs: object) -> Sample:
    return tasks.get("countdown", **knobs).sample(number, seed=2, space=Space(length, words))


def worth(one: int, sign: str, two: int) -> Fraction:
    """What a sum comes to."""
    if sign == "/":
        return Fraction(one, two)
    return Fraction({"+": one + two, "-": one - two, "*": one * two}[sign])


def solves(solution: str, numbers: list[int], target: int) -> bool:
    """Whether three equations use every number once, whole and in bounds, and end in the target."""
    left = list(numbers)
    for line in solution.splitlines():
        found = _EQUATION.fullmatch(line)
        assert found is not None, line
        one, two, result = int(found[1]), int(found[3]), int(found[4])
        if worth(one, found[2], two) != result or not 1 <= result <= 2000:
            return False
        left.remove(one)
        left.remove(two)
        left.append(result)
    return left == [target]


def stated(text: str) -> list[tuple[list[int], int]]:
    """The problems stated in a text."""
    return [([int(one) for one in held.split(", ")], int(target)) for held, target in _STATED.findall(text)]


@pytest.mark.parametrize("number", range(4))
def test_an_open_problem_is_found_in_the_context_and_solved(number: int) -> None:
    sample = drawn(number, turns=2)
    assert len(sample.turns) == 2
    for turn in sample.turns:
        name = re.findall(r"open problem \d", turn.query)[0]
        place = sample.document.index(name.capitalize() + ". Numbers")
        numbers, target = stated(sample.document[place:])[0]
        assert turn.options == {"numbers": numbers, "target": target} and stated(turn.query) == []
        ((start, end),) = sample.spans(turn)
        assert stated(sample.document[start:end]) == [(numbers, target)]
        assert solves(_SOLUTION.findall(turn.answer)[0], numbers, target)
        assert score(turn.answer, turn).value == 1


@pytest.mark.parametrize("number", range(4))
def test_stated_in_the_query_the_context_holds_worked_problems_alone(number: int) -> None:
    sample = drawn(number, stated="query")
    (turn,) = sample.turns
    assert stated(turn.query) == [(turn.options["numbers"], turn.options["target"])]
    assert "Open problem" not in sample.document and turn.evidence == ()
    worked = stated(sample.document)
    solutions = _SOLUTION.findall(sample.document)
    assert len(worked) == len(solutions) == sample.meta["worked"] > 0
    assert all(solves(solution, *problem) for problem, solution in zip(worked, solutions, strict=True))


def test_only_the_last_line_of_a_search_reaches_the_target() -> None:
    for seed in range(20):
        problem = draw(random.Random(seed), 10, 60)
        lines = problem.search.splitlines()[1:]
        assert 10 <= len(lines) <= 60
        assert [line.endswith("yes") for line in lines] == [False] * (len(lines) - 1) + [True]
        assert solves("\n".join(problem.solution), list(problem.numbers), problem.target)
        for line in lines:
            one, sign, two, result = _EQUATION.findall(line)[0]
            assert worth(int(one), sign, int(two)) == int(result) and int(one) >= int(two)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 40), min_size=3, max_size=3))
def test_the_search_reaches_what_trying_every_order_reaches(numbers: list[int]) -> None:
    reached = {step.left[0] for step in steps(numbers) if len(step.left) == 1}
    expected = set()
    for one, two, three in permutations(numbers):
        for first in "+-*/":
            middle = worth(one, first, two)
            if middle.denominator > 1 or not 1 <= middle <= 2000:
                continue
            for second in "+-*/":
                for pair in ((int(middle), three), (three, int(middle))):
                    last = worth(pair[0], second, pair[1])
                    if last.denominator == 1 and 1 <= last <= 2000:
                        expected.add(int(last))
    assert reached == expected


def test_any_other_line_is_wrong_and_any_valid_solution_right() -> None:
    (turn,) = drawn(1, trace=False).turns
    lines = turn.answer.splitlines()
    for place in (1, 2, 3):
        broken = [*lines[:place], "1 + 1 = 2", *lines[place + 1 :]]
        assert score("\n".join(broken), turn).value == 0
    one, two = sorted(turn.options["numbers"])[-2:]
    assert score(f"<Solution>\n{one} + {two} = {one + two}\n</Solution>", turn).value == 0


def test_the_trace_is_part_of_the_answer_unless_left_out() -> None:
    assert "Search from" in drawn(length=3000).turns[0].answer
    assert drawn(length=3000, trace=False).turns[0].answer.startswith("<Solution>")
    long = drawn(length=12_000).turns[0].answer
    short = drawn(length=12_000, longest=12).turns[0].answer
    assert len(long.splitlines()) > 100 > 20 > len(short.splitlines())


@pytest.mark.parametrize("knobs", [{"stated": "air"}, {"longest": 601}, {"longest": 3}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
