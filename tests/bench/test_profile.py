"""Where the time of a turn goes."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import Any

import pytest

from farspan.bench import profile
from farspan.bench.peers.ours import Ours
from farspan.methods import parse
from farspan.types import Budget
from tests.bench.random_llama import model
from tests.tiny import random_ids

LAYER = (f"{profile._FARSPAN}/engine/layer.py", 1, "attend")
LINEAR = ("/lib/torch/nn/modules/linear.py", 1, "forward")
WRAPPER, KERNEL, MAIN = ("/lib/torch/_ops.py", 1, "__call__"), ("~", 0, "<kernel>"), ("main.py", 1, "main")


def test_what_a_part_calls_counts_for_it() -> None:
    called: dict[Any, Any] = {
        MAIN: (1, 1, 1.0, 20.0, {}),
        LAYER: (1, 1, 2.0, 10.0, {MAIN: (1, 1, 2.0, 10.0)}),
        LINEAR: (1, 1, 1.0, 9.0, {MAIN: (1, 1, 1.0, 9.0)}),
        WRAPPER: (2, 2, 4.0, 8.0, {LAYER: (1, 1, 3.0, 6.0), LINEAR: (1, 1, 1.0, 2.0)}),
        KERNEL: (2, 2, 12.0, 12.0, {WRAPPER: (1, 1, 4.0, 4.0), LINEAR: (1, 1, 8.0, 8.0)}),
    }
    spent: dict[str, float] = defaultdict(float)
    for function, (_, _, own_s, _, _) in called.items():
        profile._charge(called, function, own_s, spent, 9)
    assert spent == {"other": 1.0, "engine/layer.py": 2 + 3 + 3, "the model's linear layers": 1 + 1 + 1 + 8}


@pytest.mark.parametrize("turn", ["write", "read_on"])
def test_a_turn_of_farspan_has_parts(turn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_SHOWN", 1000)
    with ExitStack() as opened:
        ours = Ours(model(), parse("infllm(top_k=2, block=8)"), Budget(), random_ids(300), opened)
        found = profile.parts(getattr(ours, turn))
    names = {part.name for part in found}
    assert {"engine/layer.py", profile._LINEAR, profile._MODEL} <= names
    assert [part.ms for part in found] == sorted((part.ms for part in found), reverse=True)
    assert abs(sum(part.share for part in found) - 1) < 0.05
