"""The interface of what says how much a token is worth, and what it may look at.

Shapes: H query heads, G KV heads, T query tokens, A tokens of which some must go, N newer tokens, S keys, D key width.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.cache.recent import Tokens
from farspan.methods.parts.notes import NoNotes, Notes


class Held(NamedTuple):
    """What an importance may look at when some of the tokens must go.

    `tokens` are the candidates in the order of the text, `newer` those that stay whatever they are; the candidates are
    met at the positions `at_GA`, and the next query will stand at `ahead`. `notes` is what is remembered of the layer.
    """

    tokens: Tokens
    newer: Tokens
    at_GA: Tensor
    ahead: int
    rope: Rope | None
    scale: float
    notes: Notes

    def rotated_keys(self) -> Tensor:
        """The candidates' keys as they are met: `[G, A, D]` in float32."""
        return self._rotated(self.tokens, self.at_GA)

    def rotated_newer(self) -> Tensor:
        """The newer keys as the next query will meet them: `[G, N, D]` in float32."""
        return self._rotated(self.newer, self.ahead - torch.arange(self.newer.length, 0, -1, device=self.at_GA.device))

    def _rotated(self, tokens: Tokens, at: Tensor) -> Tensor:
        k_GSD = tokens.k_GTD.float()
        return k_GSD if self.rope is None else self.rope.rotate(k_GSD, at)


class Importance(NoNotes):
    """How much each kept token is worth to a method; those worth least go first. A base with what most do not need.

    A token's mass is the attention that it received: from all queries since it came (`mass`), or from `queries` at the
    moment of choice; or else how much it surprised the model (`surprise`), which falls by `decay` at every turn. A
    choice serves `every` tokens; `recent` ones stay whatever they are worth, None: half of what there is room for.
    """

    mass: bool = False
    surprise: bool = False
    recent: int | None = None
    every: int = 1
    decay: float = 1.0

    def resolve(self, window: int) -> Self:
        """This importance with every open number chosen for a model trained on `window` tokens."""
        return self

    def queries(self, notes: Notes) -> Tensor | None:
        """The last queries `[H, T, D]` whose attention becomes the mass of every token."""
        return None

    def scores(self, held: Held) -> Tensor:
        """The worth of every candidate for each KV head `[G, A]`, or for all heads `[1, A]`."""
        raise NotImplementedError
