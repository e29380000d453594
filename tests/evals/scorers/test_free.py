"""Free answers: words shared, order shared, abstaining, citing, pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.evals.scorers import score
from farspan.tasks import Turn


def asked(scorer: str, *gold: str, **options: object) -> Turn:
    return Turn("?", gold[0], gold=gold, scorer=scorer, options=options)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("The Eiffel Tower!", 1),
        ("an eiffel\ntower", 1),
        ("the tall Eiffel tower", 0.8),
        ("\u201cEiffel\u201d", 2 / 3),
        ("Paris", 0),
        ("tower tower", 0.5),
    ],
)
def test_word_f1(reply: str, value: float) -> None:
    assert score(reply, asked("f1", "Eiffel Tower")).value == pytest.approx(value)


def test_word_f1_takes_the_nearest_gold_and_odd_golds() -> None:
    assert score("U.S.", asked("f1", "America", "the US")).value == 1
    assert score("The", asked("f1", "the")).value == 1 and score("a", asked("f1", "the")).value == 0
    assert score("\u5317\u4eac\u5e02", asked("f1", "\u5317\u4eac")).value == pytest.approx(0.8)


def test_word_f1_ignores_the_words_that_it_is_told_to() -> None:
    turn = asked("f1", "Pottery and camping", ignore=["and"])
    assert score("pottery, camping", turn).value == 1
    assert score("pottery and swimming", turn).value == pytest.approx(0.5)
    assert score("And", asked("f1", "and", ignore=["and"])).value == 1


def test_keywords_gate_the_f1() -> None:
    turn = asked("ak_f1", "he moved to the town of Oxley", keywords=["Oxley"], ignore=["he", "to", "of"])
    assert score("He moved to the town of Selby", turn).value == 0
    assert score("He moved to the town of Oxley", turn).value == 1
    assert score("Oxley", turn).value == pytest.approx(2 * 1 / (1 + 3))
    loose = asked("ak_f1", "red blue green pink grey black", least=0.5)
    assert score("red blue", loose).value == 0
    assert score("red blue green", loose).value == pytest.approx(2 * 3 / 9)


def longest(one: list[str], other: list[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = row[:]
        for i, against in enumerate(other, 1):
            row[i] = before[i - 1] + 1 if word == against else max(before[i], row[i - 1])
    return row[-1]


SHORT = st.lists(st.sampled_from("red blue green pink".split()), min_size=1, max_size=12)


@given(SHORT, SHORT)
def test_rouge_l_is_that_of_the_table(one: list[str], other: list[str]) -> None:
    expected = 2 * longest(one, other) / (len(one) + len(other))
    assert score(" ".join(one), asked("rouge_l", ", ".join(other).upper())).value == pytest.approx(expected)


@given(st.text("abc", min_size=1, max_size=15), st.text("abc", min_size=1, max_size=15))
def test_edit_similarity_is_that_of_the_table(one: str, other: str) -> None:
    expected = 2 * longest(list(one), list(other)) / (len(one) + len(other))
    assert score(one, asked("edit_similarity", other)).value == pytest.approx(expected)


def test_the_first_line_of_code() -> None:
    turn = asked("edit_similarity", "return x + 1", first_line=True)
    assert score("```python\n# add one\n  return x + 1\nreturn 2\n```", turn).value == 1
    assert score("# only a comment", turn).null


UNTOLD = Turn("?", "The text does not say.", scorer="abstains", decoys=("Oxley", "Selby"))


@pytest.mark.parametrize(
    "reply",
    [
        "The text does not say.",
        "Not stated.",
        "It is not mentioned in the text.",
        "I don\u2019t know.",
        "There is no information about that",
        "This cannot be determined from the context.",
        "Her town of birth is **unknown**.",
        "Unknown",
        "It is no longer known.",
        "No longer known",
        "You haven't shared that with me.",
        "You have not shared it",
        "The passage doesn't explicitly mention where she was born.",
        "It was never stated.",
        "The bio provides no such detail.",
        "I could not find it",
        "Unfortunately, there is not enough to go by: no answer.",
    ],
)
def test_abstaining(reply: str) -> None:
    assert score(reply, UNTOLD).value == 1


@pytest.mark.parametrize(
    "reply",
    [
        "Oxley",
        "She was born in Dover.",
        "It is not stated, but I guess Selby.",
        "an unknown man",
        "She no longer lives in Dover, as is well known.",
        "x " * 300 + "not stated",
    ],
)
def test_not_abstaining(reply: str) -> None:
    assert score(reply, UNTOLD).value == 0


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Anna [3][7]", 1),
        ("Anna [3, 7].", 1),
        ("Anna \u30103\u3011 [7]", 1),
        ("Anna", 0.5),
        ("Ben [3] [7]", 0.5),
        ("Anna [3]", (1 + 2 / 3) / 2),
        ("Anna [1-10]", (1 + 2 * 2 / 12) / 2),
        ("Anna [03][7][99999999]", 1),
        ("nobody", 0),
    ],
)
def test_citations(reply: str, value: float) -> None:
    assert score(reply, asked("citations", "Anna", cited=[3, 7])).value == pytest.approx(value)


def test_a_mark_is_no_answer() -> None:
    assert score("[3]", asked("citations", "3", cited=[3])).value == 0.5


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Anna Reed & Ben Stark", 1),
        ("ben stark and **Anna Reed**.", 1),
        ("Cleo Webb, Anna Reed", 1),
        ("Ben Stark, Cleo Webb", 0),
        ("Anna Reed", 0),
        ("Anna Reed, Ben Stark, Cleo Webb", 0),
        ("Anna Reed, Ben Stark, Dan Shaw", 0),
        ("Dan Shaw and Eve York", 0),
    ],
)
def test_pairs(reply: str, value: int) -> None:
    turn = asked("any_pair", "Anna Reed & Ben Stark", "Cleo Webb & Anna Reed", names=["Dan Shaw", "Eve York"])
    assert score(reply, turn).value == value


def test_abstaining_may_repeat_the_question() -> None:
    turn = Turn("What is the trade of Ursula Hunter?", "Not stated.", scorer="abstains", decoys=("hunter", "mason"))
    assert score("The trade of Ursula Hunter is not stated.", turn).value == 1
    assert score("The trade of Ursula Hunter is not stated, she may be a mason.", turn).value == 0


@pytest.mark.parametrize("scorer", ["f1", "rouge_l"])
def test_the_first_line_alone(scorer: str) -> None:
    reply = "red fox\n\nPassage: more of it\nblue"
    assert score(reply, asked(scorer, "red fox", first_line=True)).value == 1
    assert score(reply, asked(scorer, "red fox")).value < 1
    assert score("blue\nred fox", asked(scorer, "red fox", first_line=True)).value == 0
