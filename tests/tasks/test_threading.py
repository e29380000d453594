"""Threading: the published haystack comes out to the character, and a walk over the parsed JSON gives every answer."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Turn
from farspan.tasks.threading import CARD, KINDS, MARKS, UUID, haystack

_WORD = re.compile(r"\w+|[^\w\s]")
_KEY = re.compile(rf"{UUID}")


def count(text: str) -> int:
    return len(_WORD.findall(text))


def drawn(number: int = 0, length: int = 2000, **knobs: object) -> Sample:
    return tasks.get("threading", **knobs).sample(number, seed=5, space=Space(length, count))


def pairs(sample: Sample) -> dict[str, str]:
    """The object of the context, which prose may stand before."""
    text = sample.document[sample.document.index("{") :]
    held: dict[str, str] = json.loads(text)
    assert json.dumps(held) == text
    return held


def followed(held: dict[str, str], key: str) -> list[str]:
    """The keys of a thread in their order, and its last value."""
    walked = [key]
    while walked[-1] in held:
        walked.append(held[walked[-1]])
    return walked


def right(held: dict[str, str], kind: str, turn: Turn) -> list[str]:
    """The answers, from the query and the object alone."""
    if kind == "conditional":
        return [value for key, value in held.items() if turn.query[-1] in key]
    asked = _KEY.findall(turn.query)
    return [followed(held, key)[-1] if kind.endswith("thread") else held[key] for key in asked]


def test_the_published_haystack() -> None:
    found = haystack(25)
    assert len(json.dumps(found)) == 2000
    keys = list(found)
    assert keys[0] == "e3e70682-c209-4cac-629f-6fbed82c07cd"
    assert found[keys[0]] == "f728b4fa-4248-5e3a-0a5d-2f346baa9455"
    assert re.fullmatch(r"247a8333-.*5eef7", keys[12])
    assert re.fullmatch(r"1759edc3-.*2b7d", found[keys[12]])
    assert list(haystack(40).items())[:25] == list(found.items())
    assert haystack(25, seed=1) != found


def test_the_published_haystack_is_the_context_where_it_is_asked_for() -> None:
    held = pairs(drawn(3, kind="single", haystack_seed=0))
    assert held == haystack(len(held))
    assert pairs(drawn(3, kind="single")) != held
    threaded = pairs(drawn(3, kind="thread", haystack_seed=0, thread_length=4))
    published = haystack(len(threaded))
    assert list(threaded) == list(published)
    assert sum(threaded[key] != published[key] for key in published) == 3


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(0, 500),
    kind=st.sampled_from(KINDS),
    turns=st.integers(1, 3),
    needles=st.integers(2, 5),
    length=st.integers(2, 6),
    direction=st.sampled_from(["forward", "backward", "random"]),
    placement=st.sampled_from(["random", "clustered"]),
)
def test_a_walk_gives_every_answer(
    number: int, kind: str, turns: int, needles: int, length: int, direction: str, placement: str
) -> None:
    sample = drawn(
        number,
        3000,
        kind=kind,
        turns=turns,
        needles=needles,
        thread_length=length,
        direction=direction,
        placement=placement,
    )
    held = pairs(sample)
    assert len({turn.query for turn in sample.turns}) == len(sample.turns) == turns
    for turn in sample.turns:
        found = right(held, kind, turn)
        assert tuple(found) == turn.gold
        assert len(found) == {"single": 1, "thread": 1, "multi_thread": 2}.get(kind, needles)
        assert score(turn.answer, turn).value == 1
        told = [sample.document[a:b] for a, b in sample.spans(turn)]
        assert set(found) <= {one.split('"')[3] for one in told}
        assert all(decoy in held.values() for decoy in turn.decoys)


@pytest.mark.parametrize("direction", ["forward", "backward", "random"])
def test_threads_run_in_their_direction(direction: str) -> None:
    forward = 0
    for number in range(12):
        sample = drawn(number, kind="thread", thread_length=6, direction=direction)
        held = pairs(sample)
        (turn,) = sample.turns
        keys = list(held)
        thread = followed(held, _KEY.findall(turn.query)[0])
        places = [keys.index(key) for key in thread[:-1]]
        assert len(places) == 6
        assert [sample.document[a + 1 : a + 37] for a, _ in sample.spans(turn)] == thread[:-1]
        assert not set(thread) & set(turn.decoys)
        forward += places == sorted(places)
        if direction != "random":
            assert places == sorted(places, reverse=direction == "backward")
    assert forward == {"forward": 12, "backward": 0}.get(direction, forward)
    assert direction != "random" or forward < 6


def test_clustered_needles_lie_side_by_side() -> None:
    for kind in ("multiple", "conditional"):
        for number in range(5):
            sample = drawn(number, 4000, kind=kind, needles=4, placement="clustered", turns=3)
            values = list(pairs(sample).values())
            taken = [sorted(values.index(one) for one in turn.gold) for turn in sample.turns]
            assert all(places == list(range(places[0], places[0] + 4)) for places in taken)
            assert len({place for places in taken for place in places}) == 12


def test_marks_stand_in_as_many_keys_as_are_asked() -> None:
    sample = drawn(0, 5000, kind="conditional", needles=4, turns=20)
    held = pairs(sample)
    assert len(sample.turns) == len(MARKS)
    for mark in MARKS:
        assert sum(mark in key for key in held) == 4
    assert {len(key) for key in held} == {36}


def test_an_order_that_is_wrong_earns_less() -> None:
    (turn,) = drawn(0, kind="multiple", needles=3).turns
    first, second, third = turn.gold
    assert score(f"{second}, {first}, {third}", turn).value == pytest.approx(1 / 3)
    (turn,) = drawn(0, kind="conditional", needles=3).turns
    assert score(", ".join(reversed(turn.gold)), turn).value == 1


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_room_for_a_sentence_with_key_and_value(kind: str) -> None:
    sample = drawn(kind=kind, length=3000)
    held = pairs(sample)
    for turn in sample.turns:
        keys = [key for key in held if turn.query[-1] in key] if kind == "conditional" else _KEY.findall(turn.query)
        said = " ".join(
            f"The value of the key {key} is {value}." for key, value in zip(keys, right(held, kind, turn), strict=True)
        )
        assert turn.max_new_tokens == count(said) + 24
        assert score(said, turn).value == 1 or kind in ("multiple", "multi_thread", "conditional")


def test_every_kind_has_a_preset() -> None:
    assert {knobs["kind"] for knobs in CARD.presets.values()} == set(KINDS)


@pytest.mark.parametrize("knobs", [{"kind": "branched"}, {"direction": "up"}, {"placement": "even"}])
def test_unknown_words_are_refused(knobs: dict[str, str]) -> None:
    (knob,) = knobs
    with pytest.raises(UsageError, match=f"no {knob}.*one of"):
        drawn(0, **knobs)
