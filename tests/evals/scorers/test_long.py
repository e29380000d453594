"""Plans, equations and lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.evals.scorers import score
from farspan.evals.scorers.kit.arithmetic import NotASum, worked_out
from farspan.tasks import Turn

CHECKS = [
    {"kind": "has", "unit": 1, "phrase": "copper lantern"},
    {"kind": "lacks", "unit": 2, "phrase": "copper lantern"},
    {"kind": "has", "unit": 3, "phrase": "old bell"},
    {"kind": "lacks", "unit": 4, "phrase": "old bell"},
]
PLAN = Turn(
    "?", "plan", scorer="constraints", options={"units": 4, "unit": "Day", "checks": CHECKS}
)  # units 1 to 4 of a log


def test_plans_by_hand() -> None:
    whole = "#*# Day 1: a Copper\nlantern\n#*# Day 2: rain\n**#*# Day 3:** the old bell rang\n#*# Day 4: sun\n"
    assert score(whole + "*** finished ***", PLAN).value == 1
    part = score(
        "#*# Day 1: a copper lantern\n#*# Day 2: another copper lantern\n*** finished\n#*# Day 3: old bell", PLAN
    )
    assert part.value == 0.25 and part.parsed == {"completion": 0.5, "stic1": 0.5, "stic2": 0.25}
    empty = score("#*# Day 1:\n#*# Day 2:\n#*# Day 3: \n#*# Day 4:", PLAN)
    assert empty.value == 0 and empty.null
    assert score("#*# Day 1: copper lanterns", PLAN).value == 0
    assert score("#*# Day 4: sun\n#*# Day 4: old bell\n#*# Day 9: old bell", PLAN).value == 0.25


GAME = Turn("?", "21 + 16 = 37", scorer="equations", options={"numbers": [21, 16, 17, 26], "target": 46})
RIGHT = "21 + 16 = 37\n26 - 17 = 9\n37 + 9 = 46"


@pytest.mark.parametrize(
    "reply",
    [
        RIGHT,
        f"Try 26 * 17 = 442.\n<Solution>\n{RIGHT}\n</Solution>",
        f"I found it!\n```\n{RIGHT}\n```\nThis makes 46.",
        "26 + 26 = 52\n" + RIGHT,
        "1. 21+16=37\n2. 26-17=9\n3. 37+9=46.",
        "Step 1: 21 + 16 = 37\nStep 2: 26 - 17 = 9\nStep 3: 37 + 9 = 46",
        "(21 + 16) + (26 - 17) = 46",
        "<Solution>16 + 21 = 37\n37 - 17 = 20\n20 + 26 = 46</Solution>",
    ],
)
def test_right_equations(reply: str) -> None:
    assert score(reply, GAME).value == 1


@pytest.mark.parametrize(
    "reply",
    [
        "21 + 16 = 37\n37 + 9 = 46",
        "21 + 16 = 38\n26 - 17 = 9\n38 + 9 = 47",
        "16 - 21 = -5",
        "26 + 20 = 46",
        "46 = 46",
        "21 + 16 = 37\n26 - 17 = 9\n37 + 9 = 46\n46 * 1 = 46",
        "26 + 21 - 1 = 46",
        "__import__('os').system('true') = 46",
        "46",
        "<Solution></Solution>",
        "26 / 0 = 46",
    ],
)
def test_wrong_equations(reply: str) -> None:
    assert score(reply, GAME).value == 0


def test_results_on_the_way_are_bounded() -> None:
    large = Turn("?", "1", scorer="equations", options={"numbers": [50, 50, 2500], "target": 1})
    assert score("50 * 50 = 2500\n2500 / 2500 = 1", large).value == 0
    roomy = Turn("?", "1", scorer="equations", options={"numbers": [50, 50, 2500], "target": 1, "most": 2500})
    assert score("50 \u00d7 50 = 2500\n2500 \u00f7 2500 = 1", roomy).value == 1


@given(
    st.recursive(
        st.integers(1, 99).map(str),
        lambda one: st.tuples(one, st.sampled_from("+-*/"), one).map(lambda parts: "(" + "".join(parts) + ")"),
        max_leaves=6,
    )
)
def test_sums_are_worked_out_as_python_would(text: str) -> None:
    try:
        value, used = worked_out(text, 10**9)
    except NotASum:
        return
    assert value == eval(text)  # written by this test, not by a model
    assert sum(used) == sum(int(part) for part in "".join(c if c.isdigit() else " " for c in text).split())


@pytest.mark.parametrize("text", ["", "1 +", "(1", "1)", "1 2", "2 ** 3", "-1", "0", "1.5", "a", "1" * 10, "(" * 5000])
def test_what_is_no_sum(text: str) -> None:
    with pytest.raises(NotASum):
        worked_out(text, 2000)


@pytest.mark.parametrize(
    ("words", "value"), [(100, 1), (130, 0.9), (400, 0), (500, 0), (50, 0.5), (80, 0.875), (30, 0)]
)
def test_lengths(words: int, value: float) -> None:
    turn = Turn("?", "x", scorer="length_score", options={"words": 100})
    assert score("word " * words, turn).value == pytest.approx(value)
