"""Prefix and suffix: a search over the lines finds one line for each question, and neither half finds it alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Turn

_WORD = re.compile(r"\w|[^\w\s]|\n")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 3000, **knobs: object) -> Sample:
    return tasks.get("prefix_suffix", **knobs).sample(number, seed=5, space=Space(length, count))


def asked(turn: Turn) -> tuple[str, str]:
    match = re.fullmatch(r"Which line begins with (\w+) and ends with (\w+)\?", turn.query)
    assert match is not None
    return match[1], match[2]


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(600, 5000), turns=st.integers(1, 5), letters=st.integers(9, 40))
def test_a_search_finds_one_line(number: int, length: int, turns: int, letters: int) -> None:
    sample = drawn(number, length, turns=turns, letters=letters)
    lines = [line for line in sample.document.splitlines() if re.fullmatch(rf"[a-z0-9]{{{letters}}}", line)]
    assert len({turn.answer for turn in sample.turns}) == turns
    for turn in sample.turns:
        first, last = asked(turn)
        assert [one for one in lines if one.startswith(first) and one.endswith(last)] == [turn.answer.strip()]
        assert sum(one.startswith(first) for one in lines) == sum(one.endswith(last) for one in lines) == 2
        assert [sample.document[a:b] for a, b in sample.spans(turn)] == [turn.answer.strip()]
        assert sum(one.startswith(first) or one.endswith(last) for one in turn.decoys) == 2


def test_alone_every_half_finds_it() -> None:
    sample = drawn(0, alone=True)
    lines = sample.document.splitlines()[-40:]
    assert len({line[:4] for line in lines}) == len({line[-4:] for line in lines}) == len(lines)


def test_the_line_with_the_other_end_earns_nothing() -> None:
    (turn,) = drawn().turns
    assert score(turn.answer, turn).value == 1
    assert all(score(decoy, turn).value == 0 for decoy in turn.decoys)


@pytest.mark.parametrize("knobs", [{"affix": 2}, {"letters": 10, "affix": 5}])
def test_affixes_that_do_not_suit_are_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="do not suit"):
        drawn(0, **knobs)
