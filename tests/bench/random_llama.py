"""A random Llama small enough for tests, under the name `tiny`."""

from __future__ import annotations

from functools import cache
from unittest.mock import patch

from farspan.bench import shapes
from farspan.engine import Model

TINY = shapes.RandomShape(
    layers=2, width=64, heads=4, kv_heads=2, head=16, mlp=96, vocabulary=512, tied=True, window=128
)


@cache
def model() -> Model:
    """The model, shared: contenders leave it as it is."""
    with patch.dict(shapes.SHAPES, tiny=TINY):
        return shapes.random_model("tiny")
