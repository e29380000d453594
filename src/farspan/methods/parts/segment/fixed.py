"""Blocks of one fixed length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from farspan.methods.parts.window_share import window_share


@dataclass(frozen=True, slots=True)
class FixedBlocks:
    """Every block has `block` tokens; by default `most`, and the window divided by `share` where that is less."""

    block: int | None = None
    most: int = 128
    share: int = 32
    surprise: bool = False
    by_keys: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the length for a model trained on `window` tokens."""
        return self if self.block is not None else replace(self, block=window_share(window, self.share, self.most))

    @property
    def row(self) -> int:
        """A block is stored as one row."""
        assert self.block is not None
        return self.block

    @property
    def lengths(self) -> tuple[int, int]:
        """All blocks have the same length."""
        return self.row, self.row

    def marks(self, surprise_T: Tensor, before_N: Tensor, similarity_TT: Tensor | None) -> Tensor:
        """Nothing in the text is looked at."""
        raise NotImplementedError

    def cut(self, tokens: int, mark_A: Tensor | None) -> list[int]:
        """As many whole blocks as there are."""
        return [self.row] * (tokens // self.row)
