"""One vector of key width that stands for a block, for every KV head; what every index of this kind shares."""

from __future__ import annotations

from typing import Self

import torch

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import Column
from farspan.methods.parts.notes import NoNotes

COLUMN = "mean"


class OneKey(NoNotes):
    """A base: how such a vector is stored."""

    __slots__ = ()

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """One vector of key width for every KV head."""
        return (Column(COLUMN, facts.kv_heads, (facts.key_dim,), torch.float32),)
