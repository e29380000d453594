"""Many answers: every question is worked out again from its own words."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space

_SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 1200, **knobs: object) -> Sample:
    return tasks.get("many_answers", **knobs).sample(number, seed=6, space=Space(length, words))


def worked(question: str, part: str) -> Fraction:
    """The result of a question, from its numbers or from the list of its part."""
    if name := re.fullmatch(r"How many pounds does the (.+) weigh\?", question):
        return Fraction(re.findall(rf"^The {name[1]} weighs (\d+) pounds\.$", part, re.MULTILINE)[0])
    given = [Fraction(number) for number in re.findall(r"\d+", question)]
    if "coins" in question:
        return given[0] + given[1] * given[2] - given[3]
    if "rolls" in question:
        return given[0] * given[1] / given[2]
    if "miles" in question:
        return given[0] * given[1] + given[2]
    assert "pages" in question
    return given[1] - given[0] * given[2]


def parts(document: str) -> dict[str, str]:
    return dict(re.findall(r"Part ([A-Z])\.\n(.*?)(?=\n\nPart|\Z)", document, re.DOTALL))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("kinds", ["both", "arithmetic", "lookup"])
def test_every_answer_follows_from_its_question(number: int, turns: int, kinds: str) -> None:
    sample = drawn(number, turns=turns, kinds=kinds)
    sheet = parts(sample.document)
    assert len(sheet) == len(sample.turns) == turns
    for turn in sample.turns:
        name = re.findall(r"questions of part (\w)", turn.query)[0]
        questions = re.findall(r"^Question (\d+): (.+)$", sheet[name], re.MULTILINE)
        assert [int(at) for at, _ in questions] == list(range(1, sample.meta["items"] + 1))
        assert [Fraction(gold) for gold in turn.gold] == [worked(asked, sheet[name]) for _, asked in questions]
        assert score(turn.answer, turn).value == 1


def test_the_sums_in_the_answers_hold() -> None:
    (turn,) = drawn(length=6000, kinds="arithmetic").turns
    sums = _SUM.findall(turn.answer)
    assert len(sums) >= 2 * len(turn.gold)
    for one, sign, two, result in sums:
        given = {"+": int(one) + int(two), "-": int(one) - int(two), "*": int(one) * int(two)}
        assert (given[sign] if sign in given else Fraction(int(one), int(two))) == int(result) > 0


def test_what_is_shared_is_more_than_one_on_both_sides() -> None:
    shared = re.findall(r"shares (\d+) trays of (\d+) rolls", drawn(length=60_000, kinds="arithmetic").document)
    assert len(shared) > 200
    assert min(int(one) for pair in shared for one in pair) == 2


def test_kinds_are_mixed_or_alone() -> None:
    text = {kinds: drawn(length=3000, kinds=kinds).document for kinds in ("both", "arithmetic", "lookup")}
    assert "weigh?" in text["both"] and "How many are left" in text["both"]
    assert "weigh" not in text["arithmetic"] and "How many are left" not in text["lookup"]


def test_the_evidence_is_the_part_that_is_asked_for() -> None:
    sample = drawn(turns=3)
    for turn in sample.turns:
        ((start, end),) = sample.spans(turn)
        name = re.findall(r"questions of part (\w)", turn.query)[0]
        assert sample.document[start:end] == f"Part {name}.\n{parts(sample.document)[name]}"


def test_one_answer_left_out_costs_that_answer_alone() -> None:
    (turn,) = drawn(2).turns
    lines = turn.answer.splitlines()
    assert score("\n".join(lines[:4] + lines[5:]), turn).value == pytest.approx(1 - 1 / len(lines))


def test_the_reply_takes_about_a_third() -> None:
    assert 0.25 < words(drawn(length=6000).turns[0].answer) / 6000 < 0.5


@pytest.mark.parametrize("knobs", [{"kinds": "riddles"}, {"turns": 27}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
