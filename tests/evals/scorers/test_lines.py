"""Lines in their order, numbered answers, rows of tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.evals.scorers import score
from farspan.tasks import Turn

ROUTE = ("From Ash, take a bus to Elm.", "From Elm, take a train to Oak.", "From Oak, take a bus to Yew.")


def asked(gold: tuple[str, ...], scorer: str = "ordered_lines", **options: object) -> Turn:
    return Turn("?", "\n".join(gold), gold=gold, scorer=scorer, options=options)


@pytest.mark.parametrize(
    "reply",
    [
        "\n".join(ROUTE),
        "Sure! I think so.\n<Route>\n" + "\n".join(ROUTE) + "\n</Route>\nHope it helps.",
        "<Route>wrong</Route> no, wait: <route>" + "\n".join(ROUTE) + "</route>",
        "<Route>\n" + "\n".join(ROUTE) + "\n</Rou",
        "\n".join(ROUTE) + "</Route>",
        "Here is the route:\n" + "\n".join(f"{i}. {line}" for i, line in enumerate(ROUTE, 1)),
        "```text\n" + "\n\n".join(f"- **{line[:-1]}**" for line in ROUTE) + "\n```",
        "\n".join(line.lower().replace(",", "") for line in ROUTE),
    ],
)
def test_ways_to_write_a_route(reply: str) -> None:
    assert score(reply, asked(ROUTE, tag="Route")).value == 1


def test_a_prefix_earns_its_share_of_the_longer_list() -> None:
    first = "\n".join(ROUTE[:1])
    assert score(first, asked(ROUTE)).value == pytest.approx(1 / 3)
    assert score("\n".join(ROUTE + ROUTE), asked(ROUTE)).value == pytest.approx(3 / 6)
    assert score(f"{first}\nFrom Elm, take a ferry to Oak.\n{ROUTE[2]}", asked(ROUTE)).value == pytest.approx(1 / 3)
    assert score("\n".join(reversed(ROUTE)), asked(ROUTE)).value == 0
    assert score("\n".join(ROUTE[:2]), asked(ROUTE, all=True)).value == 0
    assert score("\n".join(ROUTE), asked(ROUTE, all=True)).value == 1


TRACE = ("Anna's belief:", "Step 1: {Anna: hall; cup: None}", "Step 2: {Anna: den; cup: den}", "Final Answer: the den")


def test_a_trace_ends_at_its_final_line() -> None:
    traced = asked(TRACE, final="Final Answer")
    assert score("\n".join(TRACE) + "\nI hope this helps.", traced).value == 1
    assert score("\n".join(TRACE[:3]) + "\n**Final answer**: The den.", traced).value == 1
    assert score("\n".join(TRACE[:3]) + "\nFinal Answer: the hall", traced).value == 0.75
    bare = asked((*TRACE[:3], "the den"), final="Final Answer")
    assert score("\n".join(TRACE), bare).value == 1
    only = asked(("the den",), final="Final Answer")
    assert score("\n".join(TRACE), only).value == 1
    assert score("\n".join(TRACE[:3]), only).value == 0


STEPS = ("- Step 0: {Anna: hall}", "- Step 1: {Anna: den}", "- Step 2: {Anna: hall}")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("\n".join(STEPS), 1),
        (
            "Here is the trace.\n\nAnna's belief:\n"
            + "\n".join(STEPS)
            + "\nFinal Answer: the hall\nI hope this helps.",
            1,
        ),
        ("- Step 0: {a draft}\n- Step 1: {of it}\n\nNo:\n" + "\n".join(f"**{line[2:]}**" for line in STEPS), 1),
        ("\n".join((*STEPS, "- Step 3: {Anna: den}")), 3 / 4),
        ("\n".join((STEPS[0], "as before", STEPS[2])), 1 / 3),
        ("\n".join(STEPS[1:]), 0),
        ("Step by step: she is in the hall.", 0),
    ],
)
def test_steps_are_read_from_the_last_first_one_on(reply: str, value: float) -> None:
    assert score(reply, asked(STEPS, counted="Step")).value == pytest.approx(value)


def test_steps_and_a_final_line() -> None:
    hours = asked(("Hour 0: hall", "Hour 1: den", "Final Answer: den"), counted="Hour", final="Final Answer")
    assert score("Let us see.\nHour 0: hall\nThen she goes.\nHour 1: den\nFinal Answer: den\nSo.", hours).value == 1
    assert score("Hour 0: hall\nHour 1: den\nFinal Answer: hall", hours).value == pytest.approx(2 / 3)


def test_signs_of_sums_count_and_spaces_around_them_do_not() -> None:
    sums = asked(("9 - 4 = 5", "5 * 2.5 = 12.5"))
    assert score("9-4=5\n5*2.5 =12.5", sums).value == 1
    assert score("9 + 4 = 5", sums).value == 0
    assert score("9 - 4 = 5\n5 * 25 = 12.5", sums).value == 0.5


ANSWERS = ("42", "-7", "1000")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Answer 1: 42\nAnswer 2: -7\nAnswer 3: 1,000", 1),
        ("**Answer_1:** 42 **Answer_2:** -7 **Answer_3:** 1000.", 1),
        ("Answer 3: so 1000\nAnswer 1: 6 * 7 = 42", 2 / 3),
        ("1. 42\n2. -7\n3. 1000", 1),
        ("(1) 42\n(2) 7\n(3) 1000", 2 / 3),
        ("42\n-7\n1000", 1),
        ("42\n-7", 0),
        ("Answer 1: 42\nAnswer 2: 8\nAnswer 3: 9\nAnswer 2: -7", 1 / 3),
        ("Answer 1: 42\nAnswer 3: 1000\nAnswer 4: -7", 2 / 3),
        ("Answer 123456789012: 42", 0),
    ],
)
def test_numbered_answers(reply: str, value: float) -> None:
    assert score(reply, asked(ANSWERS, "numbered")).value == pytest.approx(value)


def test_numbered_texts() -> None:
    texts = asked(("Anna", "red fox"), "numbered", text=True, label="Reply")
    assert score("Reply 1: anna.\nReply 2:\n**Red  fox**", texts).value == 1
    assert score("Reply 1: The value is Anna.\nReply 2: It is a red fox", texts).value == 1
    assert score("Reply 1: Annabel\nReply 2: a red dog", texts).value == 0
    assert score("Reply 2: Anna\nReply 1: red fox", texts).value == 0


def test_numbered_texts_name_nothing_else_and_may_count_only_together() -> None:
    texts = Turn("?", "x", ("Anna", "red fox"), "numbered", {"text": True}, decoys=("Ben", "grey hare", "Cleo"))
    assert score("Answer 1: Ben or Anna\nAnswer 2: red fox", texts).value == 0.5
    assert score("Answer 1: Anna\nAnswer 2: hare", texts).value == 0.5
    whole = replace(texts, options={"text": True, "all": True})
    assert score("Answer 1: Anna\nAnswer 2: hare", whole).value == 0
    assert score("Answer 1: Anna\nAnswer 2: the red fox", whole).value == 1


ROWS = ("Anna | 3 | blue", "Ben | 1200 | red", "Cleo | -4 | red")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("\n".join(ROWS), 1),
        ("| name | n | hue |\n|---|:---:|---|\n| cleo|-4.0|Red |\n|Ben|1,203|red|\n| **Anna** | 3 | blue |", 1),
        ("Here they are:\n```\n" + "\n".join(ROWS) + "\n```\nThat is all of them.", 1),
        ("Anna | 3 | blue", 2 / 4),
        ("Anna | 3 | blue\nAnna | 3 | blue", 2 / 5),
        ("Anna | 3 | red", 0),
        ("Ben | 1207 | red", 0),
        ("Anna | blue | 3", 0),
        ("Anna | 3", 0),
        ("no rows", 0),
    ],
)
def test_rows(reply: str, value: float) -> None:
    assert score(reply, asked(ROWS, "rows_f1")).value == pytest.approx(value)


def test_rows_of_one_value_and_rows_said_twice() -> None:
    one = asked(("Anna", "Ben"), "rows_f1")
    assert score("The names:\n- Ben\n- Anna", one).value == 1
    assert score("Anna\nBen\nCleo\nDan", one).value == pytest.approx(4 / 6)
    twice = asked(("red | 1", "red | 1"), "rows_f1")
    assert score("red | 1", twice).value == pytest.approx(2 / 3)
    assert score("red | 1\nred | 1", twice).value == 1
    assert score("100.4 | x", asked(("100 | x",), "rows_f1", tolerance=0.001)).value == 0


CELLS = st.one_of(st.integers(-999, 999).map(str), st.text("abc ", min_size=1, max_size=4).filter(str.strip))


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_rows_in_any_order_are_right(rows: list[tuple[str, str]], rng: object) -> None:
    gold = tuple(" | ".join(row) for row in rows)
    shuffled = sorted(gold, key=lambda row: rng.random())  # type: ignore[attr-defined]
    assert score("\n".join(shuffled), asked(gold, "rows_f1")).value == 1
