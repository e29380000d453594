"""Several items in a reply, with and without an order; labels."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.evals.scorers import score
from farspan.tasks import Turn

THREE = ("3", "7", "12")
NAMES = ("Anna Reed", "Ben Stark", "Cleo Webb")
WORDS = st.lists(st.text("abcdefgh", min_size=3, max_size=8), min_size=1, max_size=9, unique=True)


def turn(gold: tuple[str, ...], scorer: str = "set_f1", **options: object) -> Turn:
    return Turn("?", ", ".join(gold), gold=gold, scorer=scorer, options=options)


@pytest.mark.parametrize(
    "reply",
    [
        "[3, 7, 12]",
        "12, 7, 3",
        "The wrong ones are [12, 3, 7], as far as I see.",
        "The wrong ones are: 3; 7; 12.",
        "1. 3\n2. 7\n3. 12",
        "- 3\n- **7**\n- 12",
        "3, 7 and 12",
        "```\n3\n7\n12\n```",
        "[3], [7], [12]",
        "3.0, 07, 12",
        '["3", "7", "12"]',
    ],
)
def test_ways_to_write_a_set(reply: str) -> None:
    assert score(reply, turn(THREE)).value == 1


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("The wrong answers are 4, 19.", 1),
        ("The wrong ones are **4** and **19**.", 1),
        ("Answers 4, 19 are wrong.", 1),
        ("The 4th and the 19th are wrong.", 1),
        ("#4 and #19", 1),
        ("1. 4\n2. 19", 1),
        ("4. wrong\n19. wrong", 1),
        ("4.0, 19.", 1),
        ("[4], [19]", 1),
        ("[4 and 19] are wrong", 1),
        ("4, 19 [as asked]", 1),
        ("1 to 3 are right, 4 is not: 3 + 4 = 8.\nSo are 5 to 18. [4, 19]", 1),
        ("[1, 2, 3] are right. The wrong ones: [4, 19], since [4] is 7 and [19] 8", 1),
        ("[4, 19] [7]", 1),
        ("Of 4 to 19, 30 is wrong: 4, 19", 1),
        ("-4, 19", 0.5),
        ("4.5, x19, 19.5", 0),
        ("I saw 4 and 19. []", 0),
    ],
)
def test_whole_numbers(reply: str, value: float) -> None:
    assert score(reply, turn(("4", "19"), whole_numbers=True)).value == value


def test_whole_numbers_are_read_in_linear_time() -> None:
    start = time.process_time()
    for text in ("[" * 100_000, "[1] " * 25_000, "9" * 100_000 + "x", "1.0" * 30_000, "- " * 50_000, "1. " * 30_000):
        assert score(text, turn(THREE, whole_numbers=True)).value < 1
    assert time.process_time() - start < 6


def test_f1_of_sets_by_hand() -> None:
    assert score("3, 5", turn(THREE)).value == pytest.approx(2 * 1 / (2 + 3))
    assert score("3, 3, 3", turn(THREE)).value == pytest.approx(2 * 1 / (1 + 3))
    assert score("1", turn(("12",))).value == 0
    assert score(", ".join(map(str, range(1, 61))), turn(THREE)).value == pytest.approx(6 / 63)


def test_items_by_a_pattern() -> None:
    spoken = "Well: item 3 is wrong, so are 7 and, I think, 12."
    assert score(spoken, turn(THREE)).value < 1
    assert score(spoken, turn(THREE, pattern=r"\d+")).value == 1
    assert score("<a><b>", turn(("a", "b"), pattern=r"<(\w)>")).value == 1


def test_an_empty_set_can_be_right() -> None:
    nothing = Turn("?", "[]", scorer="set_f1")
    assert [score(reply, nothing).value for reply in ("[]", "None.", "[3]")] == [1, 1, 0]
    assert score("[]", turn(THREE)).value == 0


def test_names_with_and_in_them() -> None:
    assert score("Reed and Sons, Webb", turn(("Reed and Sons", "Webb"))).value == 1
    assert score("Cleo Webb, Anna  Reed\u00a0and ben stark", turn(NAMES)).value == 1


def test_items_keep_their_order() -> None:
    asked = turn(NAMES, "items")
    assert score("Anna Reed, Ben Stark, Cleo Webb", asked).value == 1
    assert score("Ben Stark, Anna Reed, Cleo Webb", asked).value == pytest.approx(1 / 3)
    assert score("Anna Reed, Ben Stark, Cleo Webb, a, b, c", asked).value == 1
    assert score("Anna Reed, Ben Stark, Cleo Webb, a, b, c, d", asked).value == 0
    whole = turn(NAMES, "items", all=True)
    assert score("['Anna Reed', 'Ben Stark', 'Cleo Webb']", whole).value == 1
    assert score("Anna Reed, Ben Stark", whole).value == 0
    assert score("Anna Reed, Ben Stark, Cleo Webb, Dan", whole).value == 0


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Anna Reed (1744), Ben Stark (1801), Cleo Webb (1994)", 1),
        ("Anna Reed was born first. Anna Reed, Ben Stark, Cleo Webb", 1),
        ("Of Cleo Webb, Ben Stark and Anna Reed: anna reed, then BEN STARK, then Cleo Webb.", 1),
        ("Ben Stark, Anna Reed, Cleo Webb", 0),
        ("Anna Reed, Ben Stark", 0),
        ("nobody", 0),
    ],
)
def test_items_by_name_stand_where_they_stand_last(reply: str, right: int) -> None:
    assert score(reply, turn(NAMES, "items", all=True, names=sorted(NAMES, reverse=True))).value == right


@given(WORDS, WORDS)
def test_set_f1_is_that_of_sets(given_: list[str], wanted: list[str]) -> None:
    words = [word for word in given_ if word != "and"]
    common = len(set(words) & set(wanted))
    expected = 2 * common / (len(words) + len(wanted)) if words else 0.0
    assert score(", ".join(words), turn(tuple(wanted))).value == pytest.approx(expected)


PLACES = ("bathroom", "bedroom", "kitchen", "garden", "bed")


def labelled(gold: tuple[str, ...], query: str = "Where is Mary?", **options: object) -> Turn:
    return Turn(query, ", ".join(gold), gold=gold, scorer="label_set", options={"labels": list(PLACES), **options})


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("kitchen", 1),
        ("**Kitchen**", 1),
        ("Mary is in the kitchen. Before, she was in the garden.", 1),
        ("The answer is:\n\nkitchen", 1),
        ("kitchen\ngarden", 1),
        ("kitchen or garden", 0),
        ("not in the garden. kitchen", 0),
        ("kitchens", 0),
        ("somewhere", 0),
    ],
)
def test_one_label(reply: str, value: int) -> None:
    assert score(reply, labelled(("kitchen",))).value == value


def test_labels_of_the_question_and_inside_others_do_not_count() -> None:
    asked = labelled(("kitchen",), "Rooms: kitchen, garden. Where was Mary before the garden?")
    assert score("Before the garden she was in the kitchen", asked).value == 1
    assert score("Before the garden she was in the bedroom", asked).value == 0
    assert score("the bedroom", labelled(("bedroom",))).value == 1
    assert score("the bedroom", labelled(("bed",))).value == 0


def test_several_labels_with_and_without_order() -> None:
    both = labelled(("kitchen", "garden"))
    assert [score(reply, both).value for reply in ("garden, kitchen", "garden", "garden, kitchen, bed")] == [1, 0, 0]
    ordered = labelled(("kitchen", "garden"), ordered=True)
    assert [score(reply, ordered).value for reply in ("kitchen, garden", "garden, kitchen")] == [1, 0]
    assert score("nowhere", both).null


def test_other_words_for_labels() -> None:
    counts = Turn("How many?", "two", scorer="label_set", options={"labels": ["none", "two"], "aliases": {"2": "two"}})
    replies = ("2", "Imke holds 2 things.", "two", "12", "2, none", "3")
    assert [score(reply, counts).value for reply in replies] == [1, 1, 1, 0, 0, 0]
