"""How much each recent token surprised the model, and which of them begin a block: one record for all layers.

Shapes: T tokens of a chunk, S recent tokens, V vocabulary, P tokens of the chunk and some before it, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from farspan.engine.layer import LayerMemory
from farspan.methods.parts.method import Plan

_FROM_DEPTH = 5 / 8


class Surprise:
    """-log p of every recent token given those before it, and the marks that a method's segment makes of them.

    Tensors are replaced, never changed, so that `state_dict` is a snapshot to go back to.
    """

    def __init__(self, plan: Plan, vocabulary: int) -> None:
        self._plan = plan
        self._surprise_S = torch.empty(0)
        self.mark_S = torch.empty(0, dtype=torch.bool)
        self._last_V = torch.full((vocabulary,), -math.log(vocabulary))

    def settle(self, held: int) -> None:
        """Forget all but the newest `held` tokens."""
        self._surprise_S = self._surprise_S[len(self._surprise_S) - held :].clone()
        self.mark_S = self.mark_S[len(self.mark_S) - held :].clone()

    def take(self, ids: list[int], logits_TV: Tensor, layers: Sequence[LayerMemory]) -> None:
        """Note a chunk that the layers have taken in."""
        log_TV = logits_TV.float().log_softmax(-1).cpu()
        before_TV = torch.cat((self._last_V[None], log_TV[:-1]))
        surprise_T = -before_TV.gather(1, torch.tensor(ids)[:, None])[:, 0]
        segment = self._plan.segment
        similarity_PP = self._similarity(len(ids), layers) if segment.by_keys and len(ids) > 1 else None
        mark_T = segment.marks(surprise_T, self._surprise_S[-self._plan.window :], similarity_PP)
        kept_S, marked_S = torch.cat((self._surprise_S, surprise_T)), torch.cat((self.mark_S, mark_T))
        self._surprise_S, self.mark_S, self._last_V = kept_S, marked_S, log_TV[-1].clone()

    def state_dict(self) -> dict[str, Tensor]:
        """All there is."""
        return {"surprise": self._surprise_S, "mark": self.mark_S, "last": self._last_V}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self._surprise_S, self.mark_S, self._last_V = state["surprise"], state["mark"], state["last"]

    def _similarity(self, tokens: int, layers: Sequence[LayerMemory]) -> Tensor:
        """Products of un-rotated keys, summed over the heads of the layers from 5/8 of the depth on (20 of 32).

        They begin where the last block before the chunk does, if that was in the chunk before.
        """
        marked = torch.nonzero(self.mark_S[-tokens:]).flatten()
        known = min(tokens, len(self.mark_S))
        offset = known - int(marked[-1]) if len(marked) else 0
        deep = layers[math.ceil(_FROM_DEPTH * len(layers)) :] or layers[-1:]
        keys = [layer.recent.tokens.k_GTD[:, -(tokens + offset) :].float() for layer in deep]
        return torch.stack([(k_GPD @ k_GPD.transpose(1, 2)).sum(0) for k_GPD in keys]).sum(0).cpu()
