"""Transforms: cases worked by hand, and what must hold whatever the documents are."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_names_are_replaced_everywhere_and_words_are_not() -> None:
    quiz = Quiz((BRIDGE, TOWN), ("Who met Ida Voss at the Laun in May?",), (("Bruno Voss", "BRUNO"),))
    found = replaced(Quiz((*quiz.documents, "We call him BRUNO."), quiz.questions, quiz.answers), random.Random(1))
    ida, voss, laun = re.fullmatch(r"Who met (\w+) (\w+) at the (\w+) in May\?", found.questions[0]).groups()  # type: ignore[union-attr]
    (bruno, again), shouted = found.answers[0][0].split(), found.answers[0][1]
    assert again == voss
    assert len({ida, voss, laun, bruno, shouted.capitalize()}) == 5
    assert shouted.isupper()
    assert found.documents[0] == BRIDGE.replace("Laun", laun)
    changed = TOWN.replace("Ida", ida).replace("Voss", voss).replace("Bruno", bruno).replace("Laun", laun)
    assert found.documents[1] == changed


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


def test_a_contradiction_speaks_of_others() -> None:
    document = "We met by the Laun. The old Oster Bridge of Tamm was finished in 1907. It stands. The Tamm road is old."
    made = contradiction(document, ("1907",), random.Random(0))
    match = re.fullmatch(r"The old (\w+) (\w+) of (\w+) was finished in (\d+)\.", made)
    assert match is not None
    assert not {"Oster", "Bridge", "Tamm", "1907"} & set(match.groups())
    assert abs(int(match[4]) - 1907) <= 10


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ("It opened with Oster in 1907.", "1907"),
        ("The bridge was finished in 1907.", "1907"),
        ("The Oster Bridge was made of stone.", "stone"),
        ("The Oster Bridge was made of stone.", "1907"),
    ],
)
def test_where_nobody_else_can_be_meant_there_is_none(document: str, answer: str) -> None:
    assert contradiction(document, (answer,), random.Random(0)) == ""
