"""Needles and key-value pairs: RULER's own forms, and room for a reply that says key and value in a sentence."""

from __future__ import annotations

import random
import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks.kit import words

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FORM = re.compile(rf"(?:The|One) (number|identifier) of ({UUID}|the \w+ \w+) is ({UUID}|\d+)\.")
_WORD = re.compile(r"\w+|[^\w\s]")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(name: str, number: int = 0, length: int = 900) -> Sample:
    return tasks.parse(name).sample(number, seed=2, space=Space(length, count))


@pytest.mark.parametrize("name", list(tasks.family("needle").CARD.presets))
def test_rulers_forms_are_read_back(name: str) -> None:
    sample = drawn(name)
    told = FORM.findall(sample.document)
    thing = "identifier" if name.endswith("_3") else "number"
    for turn in sample.turns:
        keys = re.findall(rf"{UUID}|the \w+ \w+", turn.query.partition(" of ")[2])
        assert list(turn.gold) == [value for _, key, value in told if key in keys] or name == "niah_multiquery"
        assert sorted(turn.gold) == sorted(value for _, key, value in told if key in keys)
        assert f" {thing}" in turn.query and {one for one, _, _ in told} == {thing}
        assert {len(value) for value in turn.gold} == {36 if thing == "identifier" else 7}
        assert score(turn.answer, turn).value == 1


def test_numbers_have_the_digits_asked_for_and_more_where_they_do_not_suffice() -> None:
    assert {len(turn.gold[0]) for turn in drawn("needle(turns=4)").turns} == {5}
    assert {len(turn.gold[0]) for turn in drawn("needle(turns=4,digits=3)").turns} == {3}
    for digits, amount, drawn_digits in ((5, 45_000, 5), (5, 45_001, 7), (1, 4, 1), (1, 5, 3)):
        numbers = words.numbers(random.Random(0), amount, digits)
        assert {len(number) for number in numbers} == {drawn_digits}
        assert len(set(numbers)) == amount
    with pytest.raises(UsageError, match="0 digits"):
        drawn("needle(digits=0)")


@pytest.mark.parametrize("name", ["niah_single_3", "niah_multikey_3", "needle(keys=uuids,keys_asked=2,turns=2)"])
def test_there_is_room_to_say_a_needle_with_uuids_again(name: str) -> None:
    sample = drawn(name, length=1500)
    for turn in sample.turns:
        said = " ".join(sample.document[start:end] for start, end in sample.spans(turn))
        assert all(value in said for value in turn.gold)
        assert turn.max_new_tokens == count(said) + 24


@pytest.mark.parametrize("name", ["scbench_kv", "key_value(keys=uuids)"])
def test_there_is_room_to_say_key_and_value(name: str) -> None:
    for turn in drawn(name, length=2500).turns:
        key = re.findall(UUID, turn.query)[0]
        said = f"The value of {key} is {turn.gold[0]}."
        assert score(said, turn).value == 1
        assert turn.max_new_tokens == count(said) + 24


@pytest.mark.parametrize("name", ["needle", "niah_multikey_2", "key_value", "hex_keys"])
def test_words_and_numbers_leave_the_room_to_the_space(name: str) -> None:
    for turn in drawn(name).turns:
        assert turn.max_new_tokens == count(turn.answer) + 24
