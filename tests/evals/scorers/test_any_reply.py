"""What holds for every scorer and every reply: a value from 0 to 1, no error, plain results, time that is linear."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farspan.evals import scorers
from farspan.evals.scorers import score
from farspan.tasks import Turn

NAME = st.text("abcdefghijklm", min_size=4, max_size=8)
NAMES = st.lists(NAME, min_size=1, max_size=6, unique=True)
NUMBER = st.integers(-(10**6), 10**6).map(str)
FLAGS = st.booleans()
MARKS = st.sampled_from(
    [
        *"</think> <think> <Route> </Route> <Solution> [3] *** ``` ** } ] ) | |---| \\boxed{ -1,000.5e3 45%".split(),
        *"[1, 2]/#*# Day/Answer 2:/Final Answer:/not stated/The answer is B/3 + 4 = 7/*** finished".split("/"),
        *"\u00bd \u0664 \u4eac \u00df \u0130 \ud800".split(),
    ]
)
REPLY = st.lists(st.one_of(MARKS, NAME, NUMBER, st.text(max_size=12), st.just("\n")), max_size=14).map(" ".join)


def plain(
    scorer: str, gold: st.SearchStrategy[list[str]], **options: st.SearchStrategy[object]
) -> st.SearchStrategy[Turn]:
    def made(values: list[str], given_: dict[str, object], decoys: list[str]) -> Turn:
        answer = values[0] if len(values) == 1 else "\n".join(values)
        return Turn("Where is it?", answer, tuple(values), scorer, given_, decoys=tuple(set(decoys) - set(values)))

    return st.builds(made, gold, st.fixed_dictionaries({}, optional=options), st.lists(NAME, max_size=3))


ONE = st.lists(NAME, min_size=1, max_size=1)
FIGURE = st.lists(NUMBER, min_size=1, max_size=1)
TOLERANCE = st.sampled_from([0, 0.005, 0.5])
ROWS = st.lists(st.tuples(NAME, NUMBER).map(" | ".join), min_size=1, max_size=5)
ORACLES = {
    "any_substring": plain("any_substring", ONE),
    "all_substring": plain("all_substring", NAMES),
    "kv_substring": plain("kv_substring", ONE),
    "opening": plain("opening", ONE, words=st.integers(1, 9)),
    "exact": plain("exact", ONE, compact=FLAGS, lead=st.just("label")),
    "last_named": plain("last_named", ONE, earlier=st.just(["Anna"])),
    "first_int": plain("first_int", FIGURE, tolerance=TOLERANCE),
    "last_number": plain("last_number", FIGURE, tolerance=TOLERANCE),
    "boxed_exact": plain("boxed_exact", ONE),
    "mcq_letter": plain(
        "mcq_letter", st.lists(st.sampled_from("ABCD"), min_size=1, max_size=1), letters=st.just("ABCDE")
    ),
    "f1": plain("f1", ONE),
    "ak_f1": plain("ak_f1", ONE, least=TOLERANCE),
    "label_set": plain("label_set", ONE, ordered=FLAGS, labels=NAMES),
    "set_f1": plain("set_f1", NAMES, pattern=st.just(r"\w+")),
    "items": plain("items", NAMES, all=FLAGS),
    "ordered_lines": plain("ordered_lines", NAMES, all=FLAGS, tag=st.just("Route"), final=st.just("Final Answer")),
    "rows_f1": plain("rows_f1", ROWS, tolerance=TOLERANCE),
    "numbered": plain("numbered", NAMES, text=st.just(True), label=st.just("Answer")).filter(
        lambda turn: bool(turn.options.get("text"))
    ),
    "rouge_l": plain("rouge_l", ONE),
    "edit_similarity": plain("edit_similarity", ONE, first_line=FLAGS),
    "abstains": st.just(Turn("?", "That is not stated.", scorer="abstains", decoys=("red fox",))),
    "citations": st.just(Turn("?", "Anna [3]", gold=("Anna",), scorer="citations", options={"cited": [3]})),
    "any_pair": st.just(Turn("?", "Anna & Ben", scorer="any_pair", options={"names": ["Cleo"]})),
    "length_score": st.integers(1, 50).map(
        lambda amount: Turn("?", "word " * amount, scorer="length_score", options={"words": amount})
    ),
    "equations": st.just(Turn("?", "3 + 4 = 7", scorer="equations", options={"numbers": [3, 4], "target": 7})),
    "constraints": st.sampled_from(["has", "lacks"]).map(
        lambda kind: Turn(
            "?",
            f"#*# Day 1: {'red fox' if kind == 'has' else 'rain'}",
            scorer="constraints",
            options={"units": 1, "unit": "Day", "checks": [{"kind": kind, "unit": 1, "phrase": "red fox"}]},
        )
    ),
}


def test_every_scorer_here_is_found() -> None:
    assert set(ORACLES) <= set(scorers.names())


@pytest.mark.parametrize("name", sorted(ORACLES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_reply_earns_between_nothing_and_all(name: str, data: st.DataObject) -> None:
    turn, reply = data.draw(ORACLES[name]), data.draw(REPLY)
    for text in (reply, f"{turn.answer}\n{reply}", f"{reply} {turn.answer}"):
        result = score(text, turn)
        assert 0 <= result.value <= 1 and not (result.null and result.value)
        assert len(json.dumps(result.parsed)) < 60_000
        assert score(text, turn) == result


@pytest.mark.parametrize("name", sorted(ORACLES))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_oracle_earns_all_and_silence_nothing(name: str, data: st.DataObject) -> None:
    turn = data.draw(ORACLES[name])
    assert score(f" {turn.answer}", turn).value == pytest.approx(1)
    assert score(" \n", turn) == scorers.Score(0.0, null=True)


@pytest.mark.parametrize("name", scorers.names())
def test_a_turn_without_gold_or_options_raises_nothing(name: str) -> None:
    for reply in ("Anna", "3", "[]", "#*# Unit 1: x", "a | b"):
        assert 0 <= score(reply, Turn("", "", scorer=name)).value <= 1


LENGTH = 100_000
NASTY = [
    "1,111," + "111," * (LENGTH // 4),
    "9" * LENGTH,
    "a " * (LENGTH // 2),
    "(" * LENGTH,
    "[" * LENGTH,
    "- " * (LENGTH // 2),
    "|-" * (LENGTH // 2) + "x",
    " " * LENGTH + "x",
    "*" * LENGTH + "x",
    ":\n" * (LENGTH // 2),
    "\\boxed{" * (LENGTH // 7),
    "<Route>" * (LENGTH // 7),
    "Answer 1: " * (LENGTH // 10),
    "not " * (LENGTH // 4),
    "3 + 4 = 7\n" * (LENGTH // 10),
    "#*# Day 1: x\n" * (LENGTH // 13),
    "a | 1\n" * (LENGTH // 6),
    "x" * LENGTH,
    "A, " * (LENGTH // 3),
]


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_long_replies_are_read_in_linear_time(name: str) -> None:
    turns = {"constraints": Turn("?", "x", scorer=name, options={"units": 9, "unit": "Day", "checks": []})}
    turn = turns.get(name, Turn("?", "a | 1", scorer=name, decoys=("red", "blue"), options={"tag": "Route"}))
    start = time.process_time()
    for text in NASTY:
        assert 0 <= score(text, turn).value <= 1
    assert time.process_time() - start < len(NASTY)
