"""Stretches of one length whose tokens are stored, and can be fetched, one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from farspan.methods.parts.window_share import window_share


def stretch(tokens: int | None, window: int) -> int:
    """`tokens`, or a quarter of the model's window, 2,048 at most."""
    return window_share(window, 4, 2048) if tokens is None else tokens


@dataclass(frozen=True, slots=True)
class Stretches:
    """Blocks of `tokens` tokens, each a row of its own."""

    tokens: int | None = None
    surprise: bool = False
    by_keys: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the length for a model trained on `window` tokens."""
        return replace(self, tokens=stretch(self.tokens, window))

    @property
    def row(self) -> int:
        """Tokens are stored one by one."""
        return 1

    @property
    def lengths(self) -> tuple[int, int]:
        """All blocks have the same length."""
        assert self.tokens is not None
        return self.tokens, self.tokens

    def marks(self, surprise_T: Tensor, before_N: Tensor, similarity_PP: Tensor | None) -> Tensor:
        """Nothing in the text is looked at."""
        raise NotImplementedError

    def cut(self, tokens: int, mark_A: Tensor | None) -> list[int]:
        """As many whole blocks as there are."""
        return [self.lengths[0]] * (tokens // self.lengths[0])
