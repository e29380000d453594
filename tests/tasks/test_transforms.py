"""Transforms: cases worked by hand, and what must hold whatever the documents are."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.tasks.kit import words
from farspan.tasks.material import naming
from farspan.tasks.material.transforms import Quiz, altered, confusing, contradiction, number, replaced, substituted

BRIDGE = "The Oster Bridge crosses the Laun. It was finished in 1907, not in 1,907 or 19.07, and 1907s are no years."
TOWN = "In May the mayor, Ida Voss, met Bruno Voss at the Laun. May was cold. The Oster Bridge was shut in 1907."
QUIZ = Quiz((BRIDGE, TOWN), ("When was the Oster Bridge finished?",), (("1907", "in 1907"),))


def test_an_altered_year_is_another_near_it_everywhere() -> None:
    found = altered(QUIZ, random.Random(0))
    new = found.answers[0][0]
    assert new != "1907"
    assert abs(int(new) - 1907) <= 10
    assert found.answers == ((new, f"in {new}"),)
    assert found.questions == QUIZ.questions
    assert found.documents[0] == BRIDGE.replace("in 1907,", f"in {new},")
    assert found.documents[1] == TOWN.replace("1907", new)


@given(year=st.integers(1000, 2100), seed=st.integers(0, 1000))
def test_a_year_stays_a_year(year: int, seed: int) -> None:
    found = altered(Quiz((f"It was {year}.",), ("When?",), ((str(year),),)), random.Random(seed))
    (new,) = found.answers[0]
    assert 1000 <= int(new) <= 2100
    assert 1 <= abs(int(new) - year) <= 10


@given(st.from_regex(r"[1-9][0-9]{0,2}(,[0-9]{3})?(\.[0-9]{1,2})?", fullmatch=True), st.integers(0, 1000))
def test_other_numbers_keep_their_digits(old: str, seed: int) -> None:
    found = altered(
        Quiz((f"There are {old} of them.", "5 x 6"), ("How many?",), ((f"{old} cats",),)), random.Random(seed)
    )
    new = found.answers[0][0].removesuffix(" cats")
    assert new != old
    assert re.sub(r"\d", "0", new) == re.sub(r"\d", "0", old)
    assert len(old) == 1 or new[0] != "0" or old[1] == "."
    beside = " x ".join(new if one == old else one for one in "56")
    assert found.documents == (f"There are {new} of them.", beside)


def test_an_altered_number_avoids_those_that_are_there() -> None:
    document = "7 rooms, " + ", ".join(f"{one} doors" for one in (0, 1, 2, 3, 4, 5, 6, 8))
    for seed in range(20):
        assert altered(Quiz((document,), ("?",), (("7",),)), random.Random(seed)).answers == (("9",),)


def test_several_questions_are_altered_at_once() -> None:
    quiz = Quiz(("12 and 34 and word",), ("A?", "B?", "C?"), (("12",), ("34",), ("word",)))
    found = altered(quiz, random.Random(3))
    (one,), (two,), (three,) = found.answers
    assert found.documents == (f"{one} and {two} and word",)
    assert len({"12", "34", one, two}) == 4
    assert three == "word"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (("308",), "308"),
        (("over 5,100", "5,100"), "5,100"),
        (("1.5 gigatons",), "1.5"),
        (("24 May 1882",), ""),
        (("three", "3"), ""),
        (("12", "13"), ""),
        (("the house with 7 doors",), ""),
        (("B52",), ""),
        ((), ""),
    ],
)
def test_number(answers: tuple[str, ...], expected: str) -> None:
    assert number(answers) == expected


def test_all_names_are_replaced_everywhere_and_words_are_not() -> None:
    quiz = Quiz(
        (BRIDGE, TOWN, "We call him BRUNO. Also the Tamm is no Laun."),
        ("Who met Ida Voss at the Laun in May?",),
        (("Bruno Voss", "BRUNO"),),
        ("Ida", "Tamm"),
    )
    found = replaced(quiz, random.Random(1))
    ida, voss, laun = re.fullmatch(r"Who met (\w+) (\w+) at the (\w+) in May\?", found.questions[0]).groups()  # type: ignore[union-attr]
    (bruno, again), shouted = found.answers[0][0].split(), found.answers[0][1]
    oster, bridge = found.documents[0].split()[1:3]
    tamm = found.decoys[1]
    assert again == voss
    assert len({ida, voss, laun, bruno, oster, tamm, bridge, shouted.capitalize()}) == 8
    assert shouted.isupper()
    assert {ida, bruno} <= set(words.FIRST_NAMES)
    new = {"Ida": ida, "Voss": voss, "Laun": laun, "Bruno": bruno, "Oster": oster, "Tamm": tamm, "BRUNO": shouted}
    new["Bridge"] = bridge
    for before, after in zip(quiz.texts(), found.texts(), strict=True):
        assert after == re.sub(r"\w+", lambda match: new.get(match[0], match[0]), before)
    assert all(old != one for old, one in new.items())
    assert found.decoys == (ida, tamm)


def test_new_names_are_of_the_texts_or_of_those_that_tasks_use() -> None:
    """None of them stands out: one text that holds many names holds the same names afterwards, but for few."""
    names = [f"{first}{last}" for first in ("Bel", "Cor", "Dam", "Fen", "Gor", "Hul") for last in ("ter", "man", "dy")]
    text = " ".join(f"They saw {one}." for one in [*names, "Ida", "Walden"])
    found = replaced(Quiz((text,), (f"Who saw {names[0]}?",), ((names[1],),)), random.Random(0))
    renamed = found.documents[0].replace("They saw ", "").replace(".", "").split()
    assert not any(one == old for one, old in zip(renamed, [*names, "Ida", "Walden"], strict=True))
    assert len(set(renamed)) == len(renamed)
    assert set(renamed[:-2]) <= {*names, *naming._SPARE}
    assert renamed[-2] in words.FIRST_NAMES and renamed[-1] in words.TOWNS


def test_makes_of_names_share_none() -> None:
    every = [*words.FIRST_NAMES, *words.LAST_NAMES, *words.TOWNS, *naming._SPARE, *naming._SPARE_CAPITALS]
    assert len(set(every)) == len(every)


def test_numbers_that_are_answers_are_replaced_too() -> None:
    found = replaced(QUIZ, random.Random(4))
    new = found.answers[0][0]
    assert new != "1907" and abs(int(new) - 1907) <= 10
    assert all("in 1907" not in text and f"in {new}" in text for text in found.documents)


def test_words_that_are_no_names_stay() -> None:
    quiz = Quiz(("Snow fell. The snow lay.",), ("What is Snow?",), (("Proving it",),))
    assert replaced(quiz, random.Random(0)) == quiz


def test_exchanges_happen_at_once() -> None:
    assert substituted(Quiz(("a b ab",), ("a",), (("b",),)), {"a": "b", "b": "a"}) == Quiz(
        ("b a ab",), ("b",), (("a",),)
    )


def test_confusing_adds_sentences_at_ends_alone() -> None:
    found = confusing(QUIZ, ["One.", "Two."], random.Random(0))
    assert found.questions == QUIZ.questions
    assert found.answers == QUIZ.answers
    added = [new.removeprefix(old) for new, old in zip(found.documents, QUIZ.documents, strict=True)]
    assert sorted("".join(added).split()) == ["One.", "Two."]


DOCUMENT = (
    "We met by the Laun. The old Oster Bridge of Tamm was finished in 1907 by Ida Voss. It stands. "
    "The Tamm road is old. With Bruno Hale we saw Oster Hill and the Laun."
)


def test_a_contradiction_has_one_other_name_of_the_document_and_another_number() -> None:
    for seed in range(20):
        made = contradiction(DOCUMENT, "When was the Oster Bridge finished?", ("1907",), random.Random(seed))
        match = re.fullmatch(r"The old ([\w ]+) of Tamm was finished in (\d+) by Ida Voss\.", made)
        assert match is not None, made
        assert match[1] == "Bruno Hale"
        assert 1 <= abs(int(match[2]) - 1907) <= 10


def test_a_contradiction_has_one_other_name_and_another_name_for_the_answer() -> None:
    found = set()
    for seed in range(20):
        made = contradiction(DOCUMENT, "Who finished that bridge in Tamm?", ("Ida Voss", "Voss"), random.Random(seed))
        match = re.fullmatch(r"The old Oster Bridge of (\w+) was finished in 1907 by ([\w ]+)\.", made)
        assert match is not None, made
        found.add(match.groups())
    assert found == {("Laun", "Bruno Hale")}


def test_a_number_in_a_contradiction_is_near_that_of_the_answer() -> None:
    document = "Some say that Oster has 4,370 doors, and Laun too. But Oster and Laun are old, as is Tamm."
    for seed in range(20):
        made = contradiction(document, "How many doors has Oster?", ("4,370",), random.Random(seed))
        match = re.fullmatch(r"Some say that Tamm has (4,\d{3}) doors, and Laun too\.", made)
        assert match is not None and match[1] != "4,370", made


@pytest.mark.parametrize(
    ("document", "question", "answer"),
    [
        ("It opened with Oster in 1907. See Laun.", "When did Oster open?", "1907"),
        ("The bridge was finished in 1907. See Oster.", "When was the Oster bridge finished?", "1907"),
        ("The Oster Bridge was made of stone. See Laun.", "What was the Oster Bridge made of?", "stone"),
        ("The Oster Bridge was made of stone. See Laun.", "When was the Oster Bridge made?", "1907"),
        ("The Oster Bridge was made in 1907.", "When was the Oster Bridge made?", "1907"),
        ("The Oster Bridge was made in 1907. See Laun.", "When was it made?", "1907"),
    ],
)
def test_where_nothing_else_can_be_meant_there_is_none(document: str, question: str, answer: str) -> None:
    assert contradiction(document, question, (answer,), random.Random(0)) == ""
