"""From logits to the next token.

Shapes: V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from farspan.errors import UsageError

_SEEDS = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when to stop.

    Temperature 0 is greedy; `top_p` keeps the smallest set of tokens with at least that much probability. The same
    `seed` gives the same text. With `ignore_eos` an end-of-text token does not end it, as measuring speed wants. With
    `logprobs` it is noted how likely each token was, and so many that were likely in its place.
    Raises UsageError for numbers out of range.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = field(default=())
    ignore_eos: bool = False
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens={self.max_new_tokens} leaves nothing to write", fix="give 1 or more")
        if not 0 <= self.temperature < math.inf:
            raise UsageError(
                f"temperature={self.temperature} is not a number from 0 up", fix="0 is greedy, 1 the model's own"
            )
        if self.seed is not None and not -_SEEDS <= self.seed < 2 * _SEEDS:
            raise UsageError(f"seed={self.seed} has more than 64 bits", fix="give a smaller number, such as 1")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p={self.top_p} is no probability", fix="give more than 0 and at most 1")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """From keywords, where None is the default and `stop` one string or several."""
        given = {name: value for name, value in options.items() if value is not None}
        if "stop" in given:
            given["stop"] = (given["stop"],) if isinstance(given["stop"], str) else tuple(given["stop"])
        return cls(**given)

    def sampler(self) -> Sampler:
        """A sampler that begins at the seed."""
        return Sampler(self)


class Sampler:
    """Draws tokens one after the other."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    def draw(self, logits_V: Tensor) -> int:
        """The next token's id."""
        if self._sampling.temperature == 0:
            return int(logits_V.argmax())
        share_V = torch.softmax(logits_V.float().cpu() / self._sampling.temperature, dim=-1)
        share_V, id_V = share_V.sort(descending=True)
        before_V = share_V.cumsum(0) - share_V
        share_V = share_V.masked_fill(before_V >= self._sampling.top_p, 0.0)
        return int(id_V[torch.multinomial(share_V, 1, generator=self._random)])
