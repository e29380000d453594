"""Updates: reading the numbered facts from the first to the last gives the answers."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score

WORD = re.compile(r"\s+|\w+|[^\w\s]")
FACT = re.compile(r"(\d+)\. The (keeper of the [a-z]+ [a-z]+ gate|town of [A-Z]\w+ [A-Z]\w+) is ([\w ]+)\.")
GONE = "no longer known"
KINDS = ("latest", "before", "times", "two_hop", "deleted")


def count(text: str) -> int:
    return sum(1 for token in WORD.findall(text) if token != " ")


def draw(number: int, length: int = 900, **knobs: object) -> tasks.Sample:
    return tasks.get("updates", **knobs).sample(number, seed=6, space=tasks.Space(length, count))


def read(text: str) -> dict[str, list[str]]:
    """All values of a thing in the order of the facts, which are numbered without gaps."""
    values: dict[str, list[str]] = {}
    for at, (number, thing, value) in enumerate(FACT.findall(text), 1):
        assert int(number) == at
        values.setdefault(thing, []).append(value)
    return values


def expected(kind: str, query: str, values: dict[str, list[str]]) -> str:
    (thing,) = re.findall(r"keeper of the [a-z]+ [a-z]+ gate|town of [A-Z]\w+ [A-Z]\w+", query)
    told = values[thing]
    if kind == "before":
        return told[-2]
    if kind == "times":
        return str(len(told) - 1)
    return values[f"town of {told[-1]}"][-1] if kind == "two_hop" else told[-1]


@pytest.mark.parametrize("fill", ["dense", "prose"])
@pytest.mark.parametrize("kind", KINDS)
def test_reading_the_facts_in_order_gives_the_answer(kind: str, fill: str) -> None:
    for number in range(15):
        sample = draw(number, kind=kind, fill=fill, facts=40, turns=3)
        values = read(sample.document)
        assert all(one != other for told in values.values() for one, other in pairwise(told))
        assert len(sample.turns) == 3
        for turn in sample.turns:
            answer = expected(kind, turn.query, values)
            assert (turn.scorer == "abstains") == (answer == GONE)
            if answer != GONE:
                assert turn.gold == (answer,)
            shown = " ".join(sample.document[start:end] for start, end in sample.spans(turn))
            held: dict[str, list[str]] = {}
            for _, thing, value in FACT.findall(shown):
                held.setdefault(thing, []).append(value)
            assert expected(kind, turn.query, held) == answer


def told_of(sample: tasks.Sample) -> list[str]:
    thing = re.findall(r"keeper of the [a-z]+ [a-z]+ gate|town of [A-Z]\w+ [A-Z]\w+", sample.turns[0].query)[0]
    return read(sample.document)[thing]


def test_what_was_before_may_be_told_with_what_is_now() -> None:
    tried = 0
    for number in range(30):
        for kind in ("latest", "deleted", "before"):
            sample = draw(number, kind=kind)
            (turn,), told = sample.turns, told_of(sample)
            if len(told) < 2 or told[-1] == GONE:
                continue
            tried += 1
            right = float(kind != "before")
            assert score(told[-1].lower(), turn).value == right
            if kind == "before":
                assert score(f"Before {told[-1]}, it was {told[-2]}.", turn).value == 1
                assert all(score(f"{one}, {told[-2]}", turn).value == 0 for one in told[:-2] if one not in told[-2:])
            elif told[-1] not in told[:-1]:
                assert score(f"It was {', then '.join(told[:-1])} at first, but now it is {told[-1]}.", turn).value == 1
                assert score(f"{told[-1]} at first, now {told[-2]}", turn).value == 0
    assert tried > 30


def test_what_is_no_longer_known_may_be_said_in_other_words() -> None:
    gone = [turn for number in range(20) for turn in draw(number, kind="deleted").turns if turn.scorer == "abstains"]
    assert gone
    assert all(score(said, turn).value == 1 for turn in gone for said in ("It is no longer known.", "No longer known"))


def test_half_of_the_deleted_questions_can_be_answered() -> None:
    gone = sum(draw(number, kind="deleted").turns[0].scorer == "abstains" for number in range(60))
    assert 18 < gone < 42


def test_the_number_of_changes_is_spread() -> None:
    golds = [draw(number, kind="times", length=1500).turns[0].gold for number in range(80)]
    assert len(set(golds)) >= 7
    assert max(golds.count(gold) for gold in golds) < 24


def test_revoked_is_the_share_that_ends_unknown() -> None:
    assert GONE not in draw(0, length=2000, revoked=0.0).document
    values = read(draw(0, length=9000, revoked=0.5).document)
    changed = [told for told in values.values() if len(told) > 1]
    assert 0.4 < sum(told[-1] == GONE for told in changed) / len(changed) < 0.6
    assert all(GONE not in told[:-1] for told in values.values())


def test_dense_is_nothing_but_facts_and_prose_hides_some() -> None:
    assert len(FACT.findall(draw(0, length=3000).document)) > 200
    assert len(FACT.findall(draw(0, length=3000, fill="prose", facts=30).document)) == 30


def test_the_least_fits_512_tokens() -> None:
    for kind in KINDS:
        assert draw(0, length=512, kind=kind, turns=2).turns


@pytest.mark.parametrize("knobs", [{"kind": "odd"}, {"fill": "odd"}])
def test_wrong_knobs_are_usage_errors(knobs: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="odd"):
        draw(0, **knobs)
