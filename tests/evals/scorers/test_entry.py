"""The one entry: what it cleans, refuses and passes on."""

from __future__ import annotations

import pytest

from farspan.errors import UsageError
from farspan.evals import scorers
from farspan.evals.scorers.base import cleaned, occurs, place
from farspan.tasks import Turn


def value(reply: str, turn: Turn) -> float:
    return scorers.score(reply, turn).value


def test_every_scorer_is_found_and_helpers_are_not() -> None:
    names = scorers.names()
    assert {"any_substring", "set_f1", "rows_f1", "equations", "rouge_l"} <= set(names)
    assert not {"plain", "numbers", "tagged", "score", "cleaned"} & set(names)


def test_an_unknown_scorer_is_said_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'last_number'"):
        scorers.score("1", Turn("?", "1", scorer="last_numbr"))


@pytest.mark.parametrize("reply", ["", "  \n\t", "<think>it is Anna</think>", "<think>it is Anna, so", "\x00\x01"])
def test_nothing_said_is_null(reply: str) -> None:
    assert scorers.score(reply, Turn("?", "Anna")) == scorers.Score(0.0, null=True)


def test_thoughts_are_left_aside() -> None:
    assert cleaned("<think>Anna or Ben</think>\n Ben ") == "Ben"
    assert cleaned("Anna</think>Ben<think>or else") == "Ben"
    assert cleaned("<Thinking>Anna</Thinking>Ben") == "Ben"
    assert cleaned("a\tb\x07c") == "a b\nc"


def test_echoes_and_listings_earn_nothing() -> None:
    echoed = Turn("?", "Anna", echoes=("the red fox ran", "over the old wall", "and was gone"))
    assert value("Anna", echoed) == 1
    assert value("the red  fox\nran over the old wall. Anna", echoed) == 0
    listed = Turn("?", "11111", decoys=("22222", "33333", "44444", "55555"))
    assert value("11111, 22222, 33333", listed) == 1
    assert value("11111, 22222, 33333, 44444", listed) == 0


def test_whole_words() -> None:
    assert occurs("art", "Modern ART, they say") and not occurs("art", "a party")
    assert occurs("42", "It is 42.") and occurs("42", "41,42,43") and occurs("42", "(42)")
    assert not occurs("42", "3.42") and not occurs("42", "42.5") and not occurs("42", "v42") and not occurs("42", "421")
    assert occurs("stra\u00dfe", "STRASSE") and not occurs("", "anything")
    assert place("aa", "xaa aab aa") == 8


def test_substrings() -> None:
    turn = Turn("?", "red, blue", gold=("red", "blue"))
    assert [scorers.score(reply, turn).value for reply in ("**red**", "reddish", "Blue and red")] == [1, 0, 1]
    turn = Turn("?", "red, blue", gold=("red", "blue", "green", "pink"), scorer="all_substring")
    assert value("red\nPINK! greenish", turn) == 0.5


def test_a_value_counts_only_before_other_values() -> None:
    turn = Turn("?", "aB1-c", scorer="kv_substring", decoys=("zz9-x", "qq7-y"))
    assert value('The value is "aB1-c", not zz9-x', turn) == 1
    assert value("zz9-x or aB1-c", turn) == 0
    assert value("AB1-C", turn) == 0
    assert value("aB1-cc", turn) == 0


def test_openings() -> None:
    turn = Turn("?", "It was a dark and stormy night", scorer="opening", options={"words": 3})
    assert value("It  was\na bright day", turn) == 1
    assert value("it was a", turn) == 0 and value("It was", turn) == 0


def test_exact_lines() -> None:
    turn = Turn("?", "[1, 2]", scorer="exact")
    assert value("`[1, 2]`.\nmore", turn) == 1
    assert value("[1,2]", turn) == 0 and value("[1, 2, 3]", turn) == 0
    compact = Turn("?", "[1, 2]", scorer="exact", options={"compact": True})
    assert value("[1,2]", compact) == 1 and value("[12]", compact) == 0
    named = Turn("?", "Anna Reed", scorer="exact")
    assert value("**Answer:** anna  REED", named) == 1 and value("Anna Reed said so", named) == 0
