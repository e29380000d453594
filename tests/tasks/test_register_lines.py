"""Register lines: a reader of the lines finds each content, once and where it is said to be."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks import register_lines as family

_WORD = re.compile(r"\w+|[^\w\s]|\n")
_LINE = re.compile(r"^register ([a-z-]+) contains <(\d+)>$", re.MULTILINE)


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 1500, **knobs: object) -> Sample:
    return tasks.get("register_lines", **knobs).sample(number, seed=5, space=Space(length, count))


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 500), length=st.integers(512, 3000), turns=st.integers(1, 6))
def test_a_reader_finds_every_answer(number: int, length: int, turns: int) -> None:
    sample = drawn(number, length, turns=turns)
    pairs = _LINE.findall(sample.document)
    held = dict(pairs)
    assert len(held) == len(pairs) == len(set(held.values()))
    assert all(1 <= int(value) <= 50_000 for value in held.values())
    assert len({turn.query for turn in sample.turns}) == turns
    for turn in sample.turns:
        name = re.findall(r"register ([a-z-]+) contain", turn.query)[0]
        assert turn.answer.strip() == held[name]
        (span,) = sample.spans(turn)
        assert sample.document[slice(*span)] == f"register {name} contains <{held[name]}>"
        assert set(turn.decoys) <= set(held.values()) - {held[name]}


def test_turns_are_spread_over_the_context() -> None:
    sample = drawn(0, 3000, turns=5)
    depths = sorted(sample.depth(turn) or 0 for turn in sample.turns)
    assert all(number / 5 - 0.03 <= depth <= (number + 1) / 5 + 0.03 for number, depth in enumerate(depths))


def test_beyond_fifty_thousand_lines_contents_stay_distinct() -> None:
    found = _LINE.findall(family._page(random.Random(0), 60_000, 1).document)
    assert len({name for name, _ in found}) == len({value for _, value in found}) == 60_000


def test_the_first_number_of_a_reply_counts() -> None:
    (turn,) = drawn().turns
    assert score(f"It contains <{turn.gold[0]}>.", turn).value == 1
    assert score(f"{turn.decoys[0]}, or rather {turn.gold[0]}", turn).value == 0
