"""Induction: every operation does what its name says, and examples follow one function unless they are corrupted."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks.material import functions

CASES = {
    ("reverse", "list"): ((1, 2, 3), 0, (3, 2, 1)),
    ("sort", "list"): ((3, 1, 2), 0, (1, 2, 3)),
    ("sort downwards", "list"): ((3, 1, 2), 0, (3, 2, 1)),
    ("drop the first k", "list"): ((1, 2, 3), 2, (3,)),
    ("drop the last k", "list"): ((1, 2, 3), 2, (1,)),
    ("rotate by k", "list"): ((1, 2, 3), 4, (2, 3, 1)),
    ("every second", "list"): ((1, 2, 3, 4), 0, (1, 3)),
    ("add k to each", "list"): ((1, -2), 5, (6, 3)),
    ("k times each", "list"): ((1, -2), 5, (5, -10)),
    ("each modulo k", "list"): ((7, 9), 4, (3, 1)),
    ("those above k", "list"): ((3, 4, 5), 3, (4, 5)),
    ("even ones", "list"): ((3, 4, 6), 0, (4, 6)),
    ("odd ones", "list"): ((3, 4, 5), 0, (3, 5)),
    ("running sums", "list"): ((3, 4, 5), 0, (3, 7, 12)),
    ("without repeats", "list"): ((3, 4, 3), 0, (3, 4)),
    ("sum", "list"): ((3, 4), 0, 7),
    ("largest", "list"): ((3, 4), 0, 4),
    ("smallest", "list"): ((3, 4), 0, 3),
    ("first times last", "list"): ((3, 9, 4), 0, 12),
    ("largest less smallest", "list"): ((3, 9, 4), 0, 6),
    ("reverse", "text"): ("abc", 0, "cba"),
    ("sort", "text"): ("bca", 0, "abc"),
    ("without vowels", "text"): ("banana", 0, "bnn"),
    ("drop the first k", "text"): ("abcd", 2, "cd"),
    ("drop the last k", "text"): ("abcd", 1, "abc"),
    ("rotate by k", "text"): ("abcd", 1, "bcda"),
    ("every second", "text"): ("abcd", 0, "ac"),
    ("twice each letter", "text"): ("ab", 0, "aabb"),
    ("and back again", "text"): ("ab", 0, "abba"),
    ("k letters on", "text"): ("ayz", 2, "cab"),
    ("without repeats", "text"): ("banana", 0, "ban"),
    ("places in the alphabet", "text"): ("abz", 0, (1, 2, 26)),
    ("digits", "number"): (120, 0, (1, 2, 0)),
    ("add k", "number"): (5, 7, 12),
    ("k times", "number"): (5, 7, 35),
    ("k less it", "number"): (5, 700, 695),
    ("digits backwards", "number"): (120, 0, 21),
}


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 600, **knobs: object) -> Sample:
    return tasks.get("induction", **knobs).sample(number, seed=9, space=Space(length, words))


def read(text: str) -> functions.Value:
    """A value from how it is written."""
    if text.startswith("["):
        return tuple(int(one) for one in text[1:-1].split(", "))
    return text if text.isalpha() else int(text)


def shots(document: str) -> list[tuple[functions.Value, functions.Value]]:
    """The examples of a context."""
    pairs = re.findall(r"^Input: (.+)\nOutput: (.+)$", document, re.MULTILINE)
    return [(read(given), read(result)) for given, result in pairs]


def last(function: functions.Function, value: functions.Value) -> functions.Value:
    trace = function.trace(value)
    assert trace is not None
    return trace[-1]


def rule_of(sample: Sample) -> functions.Function:
    """The function that a sample's label describes, by the operations' names."""
    steps, kind = [], ""
    source = {tuple: "list", str: "text", int: "number"}[type(shots(sample.document)[0][0])]
    kind = source
    for step in sample.meta["rule"].split(", then "):
        name, _, k = step.partition(" (k=")
        (operation,) = [one for one in functions.OPERATIONS if one.name == name and one.source == kind]
        steps.append((operation, int(k.rstrip(")") or 0)))
        kind = operation.target
    return functions.Function(tuple(steps))


def test_every_operation_does_what_its_name_says() -> None:
    assert {(one.name, one.source) for one in functions.OPERATIONS} == set(CASES)
    for one in functions.OPERATIONS:
        value, k, result = CASES[one.name, one.source]
        assert one.apply(value, k) == result, one.name


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_functions_fit_together_and_every_step_matters(seed: int, depth: int) -> None:
    rng = random.Random(seed)
    function = functions.draw(rng, depth)
    assert len(function.steps) == depth
    kinds = [function.source, *(operation.target for operation, _ in function.steps)]
    assert [operation.source for operation, _ in function.steps] == kinds[:-1]
    traces = [function.trace(functions.an_input(rng, function.source)) for _ in range(40)]
    sound = [trace for trace in traces if trace is not None]
    assert len(sound) > 20 and len({trace[-1] for trace in sound}) > 5
    for i in range(depth):
        assert sum(trace[i] != trace[i + 1] for trace in sound) > 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(functions.KINDS))
def test_a_corrupted_value_is_another_one_of_its_kind(seed: int, kind: str) -> None:
    rng = random.Random(seed)
    value = functions.an_input(rng, kind)
    other = functions.corrupted(rng, value, kind)
    assert other != value and type(other) is type(value)
    assert read(functions.shown(other, kind)) == other


def test_an_empty_or_huge_value_ends_a_trace() -> None:
    by_name = {(one.name, one.source): one for one in functions.OPERATIONS}
    evens = functions.Function(((by_name["even ones", "list"], 0), (by_name["largest", "list"], 0)))
    assert evens.trace((1, 3)) is None
    assert evens.trace((1, 4)) == [(1, 4), (4,), 4]
    assert functions.Function(((by_name["k times", "number"], 9),)).trace(10**9) is None


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("depth", [1, 4])
def test_the_examples_and_the_answer_follow_one_function(number: int, depth: int) -> None:
    sample = drawn(number, depth=depth, turns=3)
    function = rule_of(sample)
    pairs = shots(sample.document)
    assert len(pairs) == sample.meta["shots"] >= 20
    assert all(last(function, given) == result for given, result in pairs)
    asked = [read(turn.query.splitlines()[1].removeprefix("Input: ")) for turn in sample.turns]
    inputs = [given for given, _ in pairs] + asked
    assert len(set(inputs)) == len(inputs)
    for turn, value in zip(sample.turns, asked, strict=True):
        assert read(turn.gold[0]) == last(function, value)
        assert score(turn.answer, turn).value == 1
        assert score(turn.answer.replace(", ", ","), turn).value == 1
        assert score(f"The output is {turn.gold[0]}", turn).value == score(f"Output:{turn.answer}", turn).value == 1


def test_noise_corrupts_its_share_of_examples_and_never_the_answer() -> None:
    samples = [drawn(i, noise=0.3, told=True) for i in range(20)]
    wrong = total = 0
    for sample in samples:
        function = rule_of(sample)
        off = sum(last(function, given) != result for given, result in shots(sample.document))
        assert off == sample.meta["wrong"]
        wrong, total = wrong + off, total + sample.meta["shots"]
        (turn,) = sample.turns
        assert read(turn.gold[0]) == last(function, read(turn.query.splitlines()[1].removeprefix("Input: ")))
        assert "wrong" in turn.query
    assert 0.22 < wrong / total < 0.38
    assert "wrong" not in drawn(noise=0.3).turns[0].query


def test_a_number_of_examples_may_be_set() -> None:
    assert len(shots(drawn(shots=6).document)) == 6


@pytest.mark.parametrize("knobs", [{"depth": 0}, {"depth": 5}, {"shots": 3}, {"noise": 1.5}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
