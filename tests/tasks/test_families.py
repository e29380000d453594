"""Every task family: fits its length, is deterministic, holds its answers where it says, and only there."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import InputError, UsageError

WORD = re.compile(r"\s+|\w+|[^\w\s]")
PROSE = "It was late. The rain had stopped, and nobody\nspoke of it! Who would have thought so? " * 3


def count(text: str) -> int:
    """A stand-in tokenizer: words, marks and runs of white space, so that pieces add up."""
    return sum(1 for token in WORD.findall(text) if token != " ")


def fillers() -> list[tasks.Filler]:
    return [tasks.Synthetic(), tasks.Text(PROSE)]


@pytest.mark.parametrize("name", tasks.names())
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(700, 2500), which=st.integers(0, 1))
def test_a_sample_fits_its_length(name: str, seed: int, length: int, which: int) -> None:
    sample = tasks.get(name).make(random.Random(seed), length=length, count=count, filler=fillers()[which])
    assert 0.97 * length <= count(sample.document) <= length


@pytest.mark.parametrize("name", tasks.names())
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_evidence_holds_the_answer(name: str, seed: int) -> None:
    sample = tasks.get(name).make(random.Random(seed), length=900, count=count, filler=tasks.Synthetic())
    assert sample.questions
    for question in sample.questions:
        shown = " ".join(sample.document[start:end] for start, end in question.evidence)
        assert question.answer[0].isspace()
        for word in re.findall(r"\w+", question.answer):
            assert word.lower() in shown.lower()


@pytest.mark.parametrize("name", tasks.names())
def test_the_same_seed_gives_the_same_sample(name: str) -> None:
    made = [tasks.get(name).make(random.Random(7), length=800, count=count, filler=tasks.Synthetic()) for _ in range(2)]
    assert made[0] == made[1]
    other = tasks.get(name).make(random.Random(8), length=800, count=count, filler=tasks.Synthetic())
    assert other != made[0]


@pytest.mark.parametrize("name", ["needle", "single_needle", "key_value", "hex_keys", "several"])
def test_a_value_stands_once(name: str) -> None:
    for seed in range(20):
        sample = tasks.get(name).make(random.Random(seed), length=900, count=count, filler=tasks.Synthetic())
        for question in sample.questions:
            for value in re.findall(r"\d{5}", question.answer):
                shown = sum(sample.document[start:end].count(value) for start, end in question.evidence)
                assert shown == sample.document.count(value) == 1


def test_key_value_keys_are_distinct() -> None:
    sample = tasks.get("key_value").make(random.Random(0), length=3000, count=count, filler=tasks.Synthetic())
    keys = re.findall(r"^(.+): \d+$", sample.document, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 200


def test_quotes_are_verbatim_and_occur_once() -> None:
    filler = tasks.Synthetic()
    for seed in range(30):
        sample = tasks.get("quotes").make(random.Random(seed), length=600, count=count, filler=filler)
        for question in sample.questions:
            quote = question.text.removeprefix('Continue the quote: "').removesuffix('"')
            assert len(quote.split()) == 8
            assert sample.document.count(quote) == 1
            assert quote + question.answer in sample.document


def test_needles_lie_at_every_depth() -> None:
    depths = []
    for seed in range(60):
        sample = tasks.get("single_needle").make(
            random.Random(seed), length=1000, count=count, filler=tasks.Synthetic()
        )
        depths.append(sample.questions[0].evidence[0][0] / len(sample.document))
    assert min(depths) < 0.15
    assert max(depths) > 0.85


def test_long_documents_are_fast() -> None:
    sample = tasks.get("needle").make(random.Random(0), length=200_000, count=count, filler=tasks.Synthetic())
    assert 199_000 <= count(sample.document) <= 200_000


def test_unknown_family_is_named() -> None:
    with pytest.raises(UsageError, match="needle"):
        tasks.get("needel")


def test_too_short_a_length_says_how_many_tokens_are_needed() -> None:
    with pytest.raises(InputError, match="ask for"):
        tasks.get("needle").make(random.Random(0), length=20, count=count, filler=tasks.Synthetic())


def test_a_text_without_words_is_no_filler() -> None:
    with pytest.raises(InputError, match="no words"):
        tasks.Text(" \n ")


def test_text_filler_is_verbatim_and_starts_again() -> None:
    pieces = tasks.Text("One. Two!  Three?").pieces(random.Random(0))
    drawn = "".join(piece for _, piece in zip(range(9), pieces, strict=False))
    assert drawn.count("Two!") == 3
    assert "!  Three" in drawn
