"""The one entry: what it cleans, refuses and passes on."""

from __future__ import annotations

from dataclasses import replace

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
    assert value("11111, not 22222", listed) == 1
    assert value("11111, 22222, 33333", listed) == 0
    both = Turn("?", "11111", ("11111", "66666"), decoys=listed.decoys)
    assert value("11111, 22222, 33333", both) == 1
    assert value("11111, 22222, 33333, 44444", both) == 0


def test_what_the_query_or_the_gold_says_is_no_listing() -> None:
    turn = Turn("The trade of Ursula Hunter or Ada Mason?", "old baker", decoys=("hunter", "mason", "baker", "porter"))
    assert value("Ursula Hunter, or Ada Mason, is an old baker.", turn) == 1
    assert value("hunter, mason, old baker, porter", turn) == 1
    assert value("hunter, old baker, porter, weaver", Turn("?", "old baker", decoys=turn.decoys)) == 0


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
    assert value("AB1-C", replace(turn, options={"any_case": True})) == 1
    assert value("ZZ9-x, AB1-C", replace(turn, options={"any_case": True})) == 0
    assert value("aB1-cc", turn) == 0


def test_openings() -> None:
    turn = Turn("?", "It was a dark and stormy night", scorer="opening", options={"words": 3})
    assert value("It  was\na bright day", turn) == 1
    assert value("it was a", turn) == 0 and value("It was", turn) == 0
    for before in ('"', "...", "\u2026 ", "\u201c", '"... ', " '\n"):
        assert value(f"{before}It was a dark and stormy night", turn) == 1
    assert value("So: It was a", turn) == 0 and value("1. It was a", turn) == 0


def test_exact_lines() -> None:
    turn = Turn("?", "[1, 2]", scorer="exact")
    assert value("`[1, 2]`.\nmore", turn) == 1
    assert value("[1,2]", turn) == 0 and value("[1, 2, 3]", turn) == 0
    compact = Turn("?", "[1, 2]", scorer="exact", options={"compact": True})
    assert value("[1,2]", compact) == 1 and value("[12]", compact) == 0
    named = Turn("?", "Anna Reed", scorer="exact")
    assert value("**Answer:** anna  REED", named) == 1 and value("Anna Reed said so", named) == 0


@pytest.mark.parametrize(
    "reply",
    [
        "lipiko",
        "Label: lipiko",
        "The label is lipiko.",
        "**Label:** lipiko",
        "The answer is: lipiko",
        "Label:\nlipiko",
        "```\nlipiko\n```",
        "```text\nLabel: lipiko\n```",
        "```lipiko```",
        "lipiko\n\nText: The dog.\nLabel: other",
    ],
)
def test_a_lead_and_a_fence_are_left_aside(reply: str) -> None:
    assert value(reply, Turn("?", "lipiko", scorer="exact", options={"lead": "label"})) == 1


def test_only_the_own_lead_is_left_aside() -> None:
    turn = Turn("?", "48816", scorer="exact", options={"compact": True, "lead": "output"})
    assert [value(reply, turn) for reply in ("Output: 48816", "The output is 48816", "Input: 48816")] == [1, 1, 0]
    assert value("Output: 5\n48816", turn) == 0 and value("Output: -48816", turn) == 0
    assert value("Output: 48816", Turn("?", "48816", scorer="exact")) == 0


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("Elm", 1),
        ("elm.", 1),
        ("It was Oak at first, but now it is Elm.", 1),
        ("First Oak, then Ash, then Elm", 1),
        ("Elm, not Oak.", 1),
        ("Elm (formerly it was Oak)", 1),
        ("Elm at first, now Oak", 0),
        ("Not Elm, but Oak", 0),
        ("Oak, previously Elm", 0),
        ("Elm or Yew", 0),
        ("Oak", 0),
        ("Elmwood", 0),
        ("The keeper of the Fir gate is Elm, as the Fir gate says", 1),
        ("nobody", 0),
    ],
)
def test_what_is_named_last(reply: str, right: int) -> None:
    turn = Turn("Who keeps the Fir gate now?", "Elm", scorer="last_named", decoys=("Yew", "Fir"))
    assert value(reply, replace(turn, options={"earlier": ["Oak", "Ash"]})) == right
