"""Finding tasks by name and expression, and the space and fillers they are made of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.tasks.kit.card import MULTI_REQUEST
from farspan.tasks.kit.expression import listed, split
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page


def count(text: str) -> int:
    return len(text.split())


def test_unknown_names_and_knobs_are_told() -> None:
    with pytest.raises(UsageError, match="needle"):
        tasks.get("needel")
    with pytest.raises(UsageError, match="needles"):
        tasks.get("needle", neddles=3)
    for wrong in ("needles=many", "needles=-1", "turns=0", "needles=True", "haystack=3"):
        with pytest.raises(UsageError, match="cannot be"):
            tasks.parse(f"needle({wrong})")
    with pytest.raises(UsageError, match="cannot be 3"):
        tasks.parse("longchat(path=3)")
    with pytest.raises(UsageError, match="needs path"):
        tasks.get("longchat")


@pytest.mark.parametrize(
    "text", ["needle(", "needle(8)", "needle(**x)", "needle(needles=print())", "1", "a.b", "x" * 3000]
)
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        tasks.parse(text)


def test_an_expression_says_its_knobs() -> None:
    assert split('babi(task=2,path="a, b.txt")') == ("babi", {"task": 2, "path": "a, b.txt"})
    assert str(tasks.parse("niah_multikey_2(turns=3)")) == "niah_multikey_2(turns=3)"
    assert tasks.parse("niah_multikey_2(turns=3)").spelled_out == "needle(haystack=needles,digits=7,turns=3)"
    assert str(tasks.parse("niah_multikey_2(haystack=noise)")) == "needle(haystack=noise,digits=7)"
    assert tasks.parse("niah_multikey_2(turns=3)").knobs == {"haystack": "needles", "digits": 7, "turns": 3}


def test_a_list_is_parted_at_outer_commas_only() -> None:
    assert listed('needle(needles=4,turns=2), quotes ,babi(path="x,(y")') == [
        "needle(needles=4,turns=2)",
        "quotes",
        'babi(path="x,(y")',
    ]


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_usage_error(text: str) -> None:
    try:
        split(text)
    except UsageError as error:
        assert error.fix


def test_too_short_a_length_says_how_many_tokens_are_needed() -> None:
    with pytest.raises(tasks.TooShort, match="ask for"):
        tasks.get("needle").sample(0, seed=0, space=tasks.Space(40, count))


def test_stack_takes_as_many_as_fit() -> None:
    def build(units: int) -> tasks.Sample:
        page = Page()
        for number in range(units):
            page.add(f" item {number}")
        return page.sample((tasks.Turn("which?", " item"),))

    for length in range(40, 400, 7):
        room = tasks.Space(length, count, slack=0)
        sample = stack(room, build)
        units = sample.segments[-1].text.count("item")
        assert room.total(build(units)) <= length < room.total(build(units + 1))
        capped = stack(room, build, most=5)
        assert capped.segments[-1].text.count("item") == min(units, 5)


def test_a_text_without_words_is_no_filler() -> None:
    with pytest.raises(InputError, match="no words"):
        tasks.Text(" \n ")


def test_text_filler_is_verbatim_and_starts_again() -> None:
    pieces = tasks.Text("One. Two!  Three?").pieces(random.Random(0))
    drawn = "".join(piece for _, piece in zip(range(9), pieces, strict=False))
    assert drawn.count("Two!") == 3
    assert "!  Three" in drawn


def test_trying_out_tells_what_no_length_would_mend() -> None:
    trial: tuple[tuple[str, ...], tasks.Filler] = (MULTI_REQUEST,), tasks.Synthetic()
    for name in tasks.names():
        if not tasks.needs(name):
            tasks.get(name).try_out(*trial)
    with pytest.raises(InputError, match="nowhere"):
        tasks.parse("longbench(path=nowhere)").try_out(*trial)
    with pytest.raises(UsageError, match="scenario"):
        tasks.parse("plan(scenario=sea)").try_out(*trial)
    tasks.parse("needle(needles=4000,haystack=noise)").try_out(*trial)  # too many for that length
    tasks.parse("needle(keys_asked=0)").try_out(*trial)  # a fault of the family
    tasks.get("quotes").try_out((MULTI_REQUEST,), tasks.Text("hi"))  # nothing to ask, but pieces of half a token


def test_a_text_that_repeats_itself_is_no_quiz() -> None:
    said = "The keeper counted the waves and the hours, and wrote both in the book. "
    words = tasks.Space(200, lambda text: len(text.split()), tasks.Text(said))
    with pytest.raises(tasks.TooShort, match="nothing to ask"):
        tasks.get("quotes").sample(0, seed=0, space=words)
