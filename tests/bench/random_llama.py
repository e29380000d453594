"""A random Llama small enough for tests, under the name `tiny`, and a disk that is too small for long texts."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

import pytest

from farspan.bench import shapes
from farspan.bench.contestants import Contestants
from farspan.bench.peers.ours import Ours
from farspan.engine import Model
from farspan.errors import StorageFull
from farspan.methods import Method
from farspan.types import Budget

TINY = shapes.RandomShape(
    layers=2, width=64, heads=4, kv_heads=2, head=16, mlp=96, vocabulary=512, tied=True, window=128
)


@cache
def model() -> Model:
    """The model, shared: contenders leave it as it is."""
    with patch.dict(shapes.SHAPES, tiny=TINY):
        return shapes.random_model("tiny")


def fill_the_disk_beyond(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have farspan fail at lengths of more tokens."""
    ours = Contestants.ours

    def short_of_room(self: Contestants, method: Method, budget: Budget, tokens: int) -> Ours:
        if tokens > most:
            raise StorageFull("the disk is full")
        return ours(self, method, budget, tokens)

    monkeypatch.setattr(Contestants, "ours", short_of_room)
