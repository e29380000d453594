"""The rules that single benchmarks have for their parts."""

from __future__ import annotations

from typing import Any

import pytest

from farspan.evals.scorers import score
from farspan.tasks import Turn

NAMES = ["Food", "Organ of body", "Body", "organ"]


def value(scorer: str, reply: str, *gold: str, **options: Any) -> float:
    return score(reply, Turn("?", gold[0], gold, scorer, options)).value


@pytest.mark.parametrize(
    ("reply", "right"),
    [("Organ of body", 1), ("Food or Organ of body", 0.5), ("Body", 0), ("Organ of body\nFood", 1), ("none", 0)],
)
def test_class_name(reply: str, right: float) -> None:
    assert value("class_name", reply, "Organ of body", classes=[*NAMES, "of body"]) == right


@pytest.mark.parametrize(("reply", "right"), [("Paragraph 07", 1), ("7 of 30", 0.5), ("17", 0), ("seven", 0)])
def test_number_share(reply: str, right: float) -> None:
    assert value("number_share", reply, "7") == right


@pytest.mark.parametrize(
    ("reply", "right"),
    [("[5, -4, 12]", 1), ("5\n-4\n13", 2 / 3), ("[5, 4, 12]", 1 / 3), ("[-4, 12]", 0), ("no", 0), ("5, -4, 12, 9", 1)],
)
def test_leading_numbers(reply: str, right: float) -> None:
    assert value("leading_numbers", reply, "5", "-4", "12") == pytest.approx(right)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ('{"<mask-1>": "Rome, Italy", "<mask-10>": "Bob"}', 1),
        ("<mask-1> = Rome, Italy; <mask-10>: the Bob", 0.5),
        ("In <mask-1>, <mask-10> lived.\n<mask-1>: **Rome, Italy**\n<mask-10>: Bob.", 1),
        ("<mask-10>: Rome, Italy", 0),
        ("__import__('os')", 0),
    ],
)
def test_masks(reply: str, right: float) -> None:
    assert value("masks", reply, "Rome, Italy", "Bob", masks=["<mask-1>", "<mask-10>"]) == right


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("BD", 1),
        ("B, D", 1),
        ("The answer is B and D.", 1),
        ("D", 0.25),
        ("BCD", 0),
        ("I think so", 0),
        ("BD. A is not", 1),
    ],
)
def test_letters(reply: str, right: float) -> None:
    assert value("letters", reply, "BD", letters="ABCD") == right


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("the mill, a boat", 1),
        ("boat", 0.5),
        ("an old mill, boat", 5 / 6),
        ("x", 0),
        ("boat, mill, a, b, c, d, e, f", 4 / 7),
    ],
)
def test_parts_f1(reply: str, right: float) -> None:
    assert value("parts_f1", reply, "boat, the mill") == pytest.approx(right)


def test_the_word_and_is_no_part_of_an_answer() -> None:
    four = "Pottery, camping, painting, swimming"
    assert value("parts_f1", "pottery, camping, painting, and swimming", four) == 1
    for reply in ("pottery, camping", "camping and pottery"):
        assert value("parts_f1", reply, "Pottery and camping") == 1
    assert value("parts_f1", "pottery, camping, a, b, c, d", "Pottery and camping") == pytest.approx(4 / 7)
    assert value("parts_f1", "and", "Pottery and camping") == 0


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("The output is [6, 15].", 1),
        ("Thus:\n```\narray([ 6.0, 15. ])\n```", 0),
        ("Thus:\n```\narray([ 6.0, 15.0 ])\n```", 1),
        ("[6 15] comes first\nand then [1 2]", 0),
        ("[61 5]", 0),
        ("the output would be:\n'[6 15]'", 1),
    ],
)
def test_code_output(reply: str, right: float) -> None:
    assert value("code_output", reply, "[6 15]") == right


@pytest.mark.parametrize(
    ("scorer", "reply", "options"),
    [
        ("class_name", "Food", {"classes": NAMES}),
        ("class_name", "Food", {}),
        ("number_share", "7", {}),
        ("leading_numbers", "7", {}),
        ("masks", "<mask-1>: Rome", {"masks": ["<mask-1>"]}),
        ("masks", "<mask-1>: Rome", {}),
        ("letters", "B", {}),
        ("letters", "none of them", {}),
        ("parts_f1", "a boat", {}),
        ("code_output", "The output is 5", {}),
    ],
)
def test_without_gold_nothing_is_right(scorer: str, reply: str, options: dict[str, Any]) -> None:
    assert score(reply, Turn("?", "", (), scorer, options)).value == 0


def test_masks_that_are_not_listed_are_not_right() -> None:
    assert value("masks", "<mask-1>: Rome", "Rome", "Bob", masks=["<mask-1>"]) == 0.5
    assert value("masks", "<mask-1>: Rome", "Rome", "Bob") == 0
    assert value("masks", "<mask-1>: Rome", "Rome", masks=["<mask-1>", "<mask-2>"]) == 0.5
