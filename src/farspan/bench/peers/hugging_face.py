"""transformers itself, with its usual cache and attention, as a contender in the same process.

Shapes: G KV heads, S tokens read, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from transformers import DynamicCache

from farspan.bench.clock import seconds_of
from farspan.bench.race import GROUP, Turn, piece
from farspan.engine import Model


class HuggingFace:
    """The model with a cache of `len(ids)` tokens. It is filled with random numbers: what it holds costs the same."""

    name = "transformers"
    is_peer = True

    def __init__(self, model: Model, ids: Sequence[int]) -> None:
        self.tokens = len(ids)
        self.item_bytes = model.hosted.dtype.itemsize
        self._hosted = model.hosted
        self._more = piece(ids)
        self._kv = [
            tuple(
                torch.randn(1, fact.kv_heads, self.tokens, width, dtype=model.hosted.dtype, device=model.hosted.device)
                for width in (fact.key_dim, fact.value_dim)
            )
            for fact in model.hosted.facts
        ]

    def write(self) -> Turn:
        """Go on, token by token, in one cache that grows; who writes looks at the logits of each."""
        before, tokens = self._cache.get_seq_length(), self._more[:GROUP]

        def go_on() -> None:
            for token in tokens:
                next_logits(self._hosted.model, [token], self._cache)[0].item()

        seconds = seconds_of(go_on, self._hosted.device)
        return Turn(seconds, len(tokens), before + (len(tokens) + 1) / 2)

    def read_on(self) -> Turn:
        """Read the piece, all of it at once, into a cache of its own."""
        cache = self._filled()
        seconds = seconds_of(lambda: next_logits(self._hosted.model, self._more, cache), self._hosted.device)
        return Turn(seconds, len(self._more), self.tokens + (len(self._more) + 1) / 2)

    @cached_property
    def _cache(self) -> DynamicCache:
        return self._filled()

    def _filled(self) -> DynamicCache:
        cache = DynamicCache(config=self._hosted.model.config)
        for layer, (k_GSD, v_GSD) in enumerate(self._kv):
            cache.update(k_GSD, v_GSD, layer)
        return cache


@torch.inference_mode()
def next_logits(model: torch.nn.Module, ids: list[int], cache: DynamicCache | None = None) -> Tensor:
    """The logits `[V]` of what comes after `ids`, which come after what a cache holds."""
    ids_1T = torch.tensor([ids], device=next(model.parameters()).device)
    logits_V: Tensor = model(
        input_ids=ids_1T, past_key_values=cache, use_cache=cache is not None, logits_to_keep=1
    ).logits[0, -1]
    return logits_V
