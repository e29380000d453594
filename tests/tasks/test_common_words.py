"""Common words: a count over the numbered list, made anew here, gives the answer."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks import common_words as family

_WORD = re.compile(r"\w+|[^\w\s]")
_ENTRY = re.compile(r"(?<!\S)(\d+)\. (\w+)(?!\S)")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 1000, **knobs: object) -> Sample:
    return tasks.get("common_words", **knobs).sample(number, seed=5, space=Space(length, count))


def listed(text: str) -> Counter[str]:
    """How often each word stands in a numbered list; its numbers run from 1 on."""
    entries = _ENTRY.findall(text)
    assert [int(number) for number, _ in entries] == list(range(1, len(entries) + 1))
    return Counter(word for _, word in entries)


@settings(max_examples=15, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(512, 6000))
def test_a_count_gives_the_answer(number: int, length: int) -> None:
    sample = drawn(number, length)
    (turn,) = sample.turns
    found = listed(sample.document).most_common()
    often, seldom = (30, 3) if length >= 4096 else (6, 1)
    assert {word for word, _ in found[:10]} == set(turn.gold)
    assert {times for _, times in found[:10]} == {often}
    assert {times for _, times in found[10:]} == {seldom}
    assert set(turn.decoys) <= {word for word, _ in found[10:]}
    assert len(found) >= 20


@pytest.mark.parametrize(("length", "often", "common"), [(250, 3, 10), (150, 3, 9)])
def test_a_short_length_takes_fewer_repeats_and_then_fewer_words(length: int, often: int, common: int) -> None:
    sample = drawn(0, length)
    assert sample.meta["common_repeats"] == often
    assert 3 <= sample.meta["common"] <= common
    found = listed(sample.document).most_common()
    assert {word for word, _ in found[: sample.meta["common"]]} == set(sample.turns[0].gold)


def test_repeats_that_are_given_are_kept_or_refused() -> None:
    sample = drawn(0, 1000, common=4, common_repeats=9, rare_repeats=2)
    assert Counter(listed(sample.document).values())[9] == 4
    with pytest.raises(tasks.TooShort, match="units need"):
        drawn(0, 600, common_repeats=90, rare_repeats=2)


def test_a_list_beyond_the_stock_of_words_goes_on_with_made_up_ones() -> None:
    found = listed(drawn(0, 30_000).document)
    assert len(found) > 2000
    assert sorted(set(found.values())) == [3, 30]


def test_words_are_distinct_for_any_amount() -> None:
    for amount in (10, 462, 463, 5000):
        words = family._words(random.Random(0), amount)
        assert len(words) == len(set(words)) == amount


@pytest.mark.parametrize(("length", "shown"), [(1024, 0), (2048, 40), (4096, 190)])
def test_the_example_is_a_list_with_its_right_answer(length: int, shown: int) -> None:
    sample = drawn(0, length, example=True)
    query = sample.turns[0].query
    assert sum(listed(query).values()) == shown
    if shown:
        answer = query.splitlines()[1].rpartition("alone. ")[2].split(", ")
        assert {word for word, _ in listed(query).most_common(10)} == set(answer)


def test_part_of_the_words_earns_part() -> None:
    (turn,) = drawn().turns
    assert score(", ".join(turn.gold[:4]), turn).value == pytest.approx(0.4)
    assert score(" ".join([*turn.gold, *turn.decoys]), turn).value == 0
