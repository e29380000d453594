"""Blocks of one fixed length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class FixedBlocks:
    """Every block has `block` tokens; by default 128, and a 32nd of the window where that is less."""

    block: int | None = None

    def resolve(self, window: int) -> Self:
        """Choose the length for a model trained on `window` tokens."""
        return self if self.block is not None else replace(self, block=max(1, min(128, window // 32)))
