"""Numbers in replies, and the scorers that compare them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.evals.scorers import score
from farspan.evals.scorers.kit.figures import number, numbers, same
from farspan.tasks import Turn

READ = {
    "24,169": ["24169"],
    "It is <24169>.": ["24169"],
    "-7 and \u22127 and 3-5": ["-7", "-7", "3", "5"],
    "(-3)": ["-3"],
    "x=-2.50": ["-2.50"],
    "1e3, 2.5E-2 and 1e3x": ["1000", "0.025"],
    "45% of $1,234.50, \u20ac7": ["45", "1234.50", "7"],
    "**42**. Done.": ["42"],
    "1,2,3 and 1,23": ["1", "2", "3", "1", "23"],
    "5kg on the 3rd of May 2020": ["5", "2020"],
    "x2 3fa85f v1.5": ["5"],
    ".5 and 0.5": ["0.5", "0.5"],
    "1{,}000": ["1000"],
    "page 3.": ["3"],
    "none": [],
}


@pytest.mark.parametrize("text", READ)
def test_numbers_are_read(text: str) -> None:
    assert numbers(text) == [Decimal(value) for value in READ[text]]


def test_a_whole_text_is_a_number_or_not() -> None:
    assert number(" **1,000**. ") == 1000 and number("45%") == 45 and number("-3") == -3
    assert number("3 apples") is None and number("") is None and number("3rd") is None and number("9" * 500) is None


def test_tolerance_is_a_share_of_the_wanted_number() -> None:
    assert same(Decimal(1004), Decimal(1000), 0.005) and not same(Decimal(1006), Decimal(1000), 0.005)
    assert same(Decimal(-1004), Decimal(-1000), 0.005) and not same(Decimal(1), Decimal(0), 0.005)


@given(st.integers(-(10**30), 10**30))
def test_a_number_is_read_however_it_is_written(value: int) -> None:
    for text in (str(value), f"{value:,}", f"so **{value:,}**.", f"{value}.0", f"({value})", f"is\n{value}\n"):
        assert numbers(text) == [value]


@pytest.mark.parametrize(
    ("reply", "first", "last"),
    [
        ("24,169", 1, 1),
        ("24169 is it, not 5", 1, 0),
        ("line 5 has 24169.0", 0, 1),
        ("about 24", 0, 0),
        ("241690", 0, 0),
    ],
)
def test_first_and_last(reply: str, first: int, last: int) -> None:
    assert score(reply, Turn("?", "24169", scorer="first_int")).value == first
    assert score(reply, Turn("?", "24169", scorer="last_number")).value == last


def test_any_gold_within_tolerance() -> None:
    turn = Turn("?", "3.1416", gold=("3.1416", "22"), scorer="last_number", options={"tolerance": 0.005})
    assert [score(reply, turn).value for reply in ("3.15", "3.2", "22.1", "pi")] == [1, 0, 1, 0]
    assert score("pi", turn).null and not score("3.2", turn).null
