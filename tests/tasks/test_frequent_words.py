"""Frequent words: counting what stands in the text gives the answer, and the counts fall as they should."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import UsageError
from farspan.tasks import Sample, Space
from farspan.tasks.frequent_words import counts, zeta

_WORD = re.compile(r"\w+|\.\.\.")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 1000, **knobs: object) -> Sample:
    return tasks.get("frequent_words", **knobs).sample(number, seed=5, space=Space(length, count))


@settings(max_examples=15, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(150, 6000), alpha=st.floats(1.2, 3.5), asked=st.integers(1, 4))
def test_a_count_gives_the_answer(number: int, length: int, alpha: float, asked: int) -> None:
    sample = drawn(number, length, alpha=alpha, asked=asked)
    (turn,) = sample.turns
    found = Counter(sample.document.split()).most_common()
    assert found[0][0] == "..."
    assert tuple(word for word, _ in found[1 : asked + 1]) == turn.gold
    assert len(found) == asked + 1 or found[asked][1] > found[asked + 1][1]
    assert set(turn.decoys) == {word for word, _ in found[asked + 1 :]} or len(turn.decoys) == 24


def test_counts_follow_the_law() -> None:
    total = math.pi**2 / 6
    assert counts(10_000, 6, 2.0, total, 3) == [int(10_000 / total / rank**2) for rank in range(1, 7)]
    assert counts(10, 5, 2.0, total, 3) == [6, 3, 2, 1, 0]


def test_zeta_has_its_known_values() -> None:
    assert zeta(2.0) == pytest.approx(math.pi**2 / 6, abs=1e-9)
    assert zeta(4.0) == pytest.approx(math.pi**4 / 90, abs=1e-12)
    assert zeta(1.1) == pytest.approx(10.5844484649508, abs=1e-6)


def test_a_vocabulary_grows_with_the_length_or_is_given() -> None:
    assert drawn(0, 8000, alpha=1.2).meta["vocabulary"] == 8000 // 50
    assert drawn(0, 8000, alpha=1.2, vocabulary=30).meta["vocabulary"] == 30


def test_an_alpha_without_a_sum_is_refused() -> None:
    with pytest.raises(UsageError, match=r"alpha is 1.0.*more than 1"):
        drawn(0, 1000, alpha=1.0)
