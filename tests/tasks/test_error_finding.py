"""Error finding: a reader who works every exercise out finds exactly the answers that are asked for."""

from __future__ import annotations

import random
import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks.material import exercises

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 700, **knobs: object) -> Sample:
    return tasks.get("error_finding", **knobs).sample(number, seed=6, space=Space(length, words))


def worked_out(instruction: str, question: str) -> str | None:
    """The right answer by the instruction's words; None for capitals, which need knowledge."""
    numbers = [int(one) for one in re.findall(r"\d+", question)]
    choices = question.split(" or ")
    if instruction.startswith("Add"):
        return str(sum(numbers))
    if instruction.startswith("Take"):
        return str(numbers[0] - numbers[1])
    if instruction.startswith("Multiply"):
        return str(numbers[0] * numbers[1])
    if "comes next" in instruction:
        return str(2 * numbers[-1] - numbers[-2])
    if "larger" in instruction:
        return str(max(numbers))
    if instruction.startswith("Count"):
        return str(len(question))
    if "dictionary" in instruction:
        return sorted(choices)[0]
    if "day of the week" in instruction:
        return DAYS[(DAYS.index(question.partition(",")[0]) + numbers[0]) % 7]
    return None


def found(document: str, kind: str) -> list[int] | None:
    """The numbers of wrong answers; None where capitals are asked for all along."""
    lines = document[re.search(r"^.*\n1\. ", document, re.MULTILINE).start() :].splitlines()  # type: ignore[union-attr]
    wrong, unknown = [], 0
    for number, line in enumerate(lines[1:], 1):
        body = line.removeprefix(f"{number}. ")
        assert body != line
        instruction, rest = (lines[0], body) if kind == "gist" else body.split(". ", 1)
        question, _, answer = rest.partition(" Answer: ")
        right = worked_out(instruction, question)
        if right is None:
            unknown += 1
            right = dict(exercises._CAPITALS)[question]
        if right != answer:
            wrong.append(number)
    return wrong


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("kind", ["gist", "list", "limt"])
def test_a_reader_who_works_it_out_finds_the_wrong_ones(kind: str, number: int) -> None:
    sample = drawn(number, kind=kind)
    (turn,) = sample.turns
    assert found(sample.document, kind) == [int(gold) for gold in turn.gold]
    assert sample.meta["wrong"] == len(turn.gold) >= 1
    assert score(turn.answer, turn).value == 1
    assert score(f"Answers {', '.join(turn.gold)} are wrong.", turn).value == 1


def test_every_kind_of_exercise_has_a_wrong_answer_that_differs() -> None:
    rng = random.Random(0)
    for kind in exercises.KINDS:
        for _ in range(200):
            one = exercises.draw(rng, kind)
            assert one.right != one.wrong and one.wrong
            right = worked_out(kind.instruction, one.question)
            assert right is None or right == one.right


def test_a_tenth_is_wrong_and_kinds_are_mixed_where_they_should_be() -> None:
    wrong = [sample.meta["wrong"] / sample.meta["exercises"] for sample in map(drawn, range(60))]
    assert 0.07 < sum(wrong) / len(wrong) < 0.14
    instructions = {kind.instruction for kind in exercises.KINDS}
    held = {
        kind: sum(one in drawn(kind=kind, length=1500).document for one in instructions) for kind in ("list", "limt")
    }
    assert held["list"] == 1 and held["limt"] > 5


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_turns_ask_for_parts_that_cover_all_and_hold_an_error_each(wrong: float) -> None:
    sample = drawn(turns=4, wrong=wrong)
    ranges = [tuple(map(int, re.findall(r"answers (\d+) to (\d+)", turn.query)[0])) for turn in sample.turns]
    assert [start for start, _ in ranges] == [1, *(end + 1 for _, end in ranges[:-1])]
    assert ranges[-1][1] == sample.meta["exercises"]
    for (start, end), turn in zip(ranges, sample.turns, strict=True):
        assert turn.gold and all(start <= int(gold) <= end for gold in turn.gold)
    wrongs = [int(gold) for turn in sample.turns for gold in turn.gold]
    assert wrongs == found(sample.document, "gist")


def test_naming_every_number_earns_little() -> None:
    sample = drawn()
    (turn,) = sample.turns
    everything = ", ".join(str(i + 1) for i in range(sample.meta["exercises"]))
    assert score(everything, turn).value < 0.4
    assert score(f"[{turn.gold[0]}]", turn).value == pytest.approx(2 / (1 + len(turn.gold)))


@pytest.mark.parametrize("knobs", [{"kind": "mixed"}, {"wrong": 1.0}, {"wrong": -0.1}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
