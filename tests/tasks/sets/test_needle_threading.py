"""Needle Threading: its five tasks are told apart, and the pairs on the way to an answer are evidence."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import lines, samples, shown

_RNG = random.Random(0)
IDS = [str(uuid.UUID(int=_RNG.getrandbits(128))) for _ in range(60)]
PAIRS = dict(zip(IDS[::2], IDS[1::2], strict=True))
KEYS = list(PAIRS)


def row(keys: Any, values: Any, **fields: Any) -> dict[str, Any]:
    base = {"id": 5, "haystack": json.dumps(PAIRS), "keys": keys, "values": values, "question": "Extract the value."}
    counts = {"context_length": 2000, "num_kv_pairs": 30, "needle_depth": "50", "num_needles": 1, "thread_length": 1}
    kinds = {
        "needle_placement": "depthwise",
        "conditional_character": "N/A",
        "thread_direction": "N/A",
        "num_threads": 0,
    }
    return base | counts | kinds | fields


def test_one_value(tmp_path: Path) -> None:
    key = KEYS[12]
    (sample,) = samples("needle_threading", lines(tmp_path / "a.jsonl", [row(key, PAIRS[key])]))
    turn = sample.turns[0]
    assert shown(sample) == [f'"{key}": "{PAIRS[key]}"']
    assert sample.meta["task"] == "single_needle" and sample.meta["needle_depth"] == "50"
    assert "thread_direction" not in sample.meta
    assert score(f"The value is {PAIRS[key]}.", turn).value == 1
    assert score(f"{PAIRS[KEYS[0]]} {PAIRS[key]}", turn).value == 0
    assert score(PAIRS[key].upper(), turn).value == 0


@pytest.mark.parametrize("written", [list, repr, json.dumps])
def test_several_values(tmp_path: Path, written: Any) -> None:
    keys = [KEYS[20], KEYS[3], KEYS[9]]
    values = [PAIRS[key] for key in keys]
    several = row(written(keys), written(values), num_needles=3, needle_depth="N/A")
    path = lines(tmp_path / "a.jsonl", [several, several | {"conditional_character": "*"}])
    placed, loose = samples("needle_threading", path)
    assert len(shown(placed)) == 3 and shown(placed) == sorted(shown(placed), key=placed.document.index)
    assert score(str(values), placed.turns[0]).value == 1
    assert score(str(values[::-1]), placed.turns[0]).value == pytest.approx(1 / 3)
    assert score(str(values[::-1]), loose.turns[0]).value == 1
    assert [placed.meta["task"], loose.meta["task"]] == ["multi_needle", "conditional_needle"]
    assert samples("needle_threading", path, task="conditional_needle") == [loose]


def test_threads(tmp_path: Path) -> None:
    links = {KEYS[25]: KEYS[4], KEYS[4]: KEYS[17], KEYS[17]: IDS[1]}
    haystack = json.dumps(PAIRS | links)
    one = row(KEYS[25], IDS[1], haystack=haystack, thread_length=3, thread_direction="backward", num_threads=1)
    two = row([KEYS[25], KEYS[6]], [IDS[1], PAIRS[KEYS[6]]], haystack=haystack, thread_length=3, num_threads=2)
    single, multi = samples("needle_threading", lines(tmp_path / "a.jsonl", [one, two]))
    assert [single.meta["task"], multi.meta["task"]] == ["single_thread", "multi_thread"]
    assert sorted(shown(single)) == sorted(f'"{key}": "{value}"' for key, value in links.items())
    assert len(shown(multi)) == 4
    assert score(KEYS[17], single.turns[0]).value == 0 and score(IDS[1], single.turns[0]).value == 1
    way = " -> ".join([KEYS[25], KEYS[4], KEYS[17], IDS[1]])
    assert score(way, single.turns[0]).value == 1
    assert score(f"{PAIRS[KEYS[2]]}, {IDS[1]}", single.turns[0]).value == 0


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no keys and values"):
        samples("needle_threading", lines(tmp_path / "a.jsonl", [row("k", "v", haystack="prose")]))
    with pytest.raises(UsageError, match="single_thread"):
        samples("needle_threading", lines(tmp_path / "a.jsonl", [row("k", "v")]), task="threads")
