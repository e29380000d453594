"""How much each recent token surprised the model, and which of them begin a block: a record for layers of one plan.

Shapes: T tokens of a chunk, S recent tokens, V vocabulary, P tokens of the chunk and some before it, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from farspan.engine.layer import LayerMemory, Told

_FROM_DEPTH = 5 / 8


class Surprise:
    """-log p of every recent token given those before it, and the marks that a method's segment makes of them.

    Tensors are replaced, never changed, so that `state_dict` is a snapshot to go back to.
    """

    def __init__(self, layers: Sequence[LayerMemory], vocabulary: int) -> None:
        self.layers = layers
        self._plan = layers[0].plan
        self._last_V = torch.full((vocabulary,), -math.log(vocabulary), dtype=torch.float32, device="cpu")
        self.told = Told(torch.empty(0, dtype=torch.bool, device="cpu"), self._last_V.new_empty(0))

    def end_turn(self) -> None:
        """Where a pool keeps what surprises, recent tokens count less from now on too."""
        pool = self._plan.pool
        if pool is not None and pool.by.surprise:
            self.told = self.told._replace(surprise_S=self.told.surprise_S * pool.by.decay)

    def settle(self) -> None:
        """Forget what has left the layers' recent tokens."""
        held = len(self.layers[0].recent)
        self.told = Told(*(value[len(value) - held :].clone() for value in self.told))

    def take(self, ids: list[int], logits_TV: Tensor) -> None:
        """Note a chunk that the layers have taken in."""
        log_TV = logits_TV.float().log_softmax(-1).cpu()
        before_TV = torch.cat((self._last_V[None], log_TV[:-1]))
        surprise_T = -before_TV.gather(1, torch.tensor(ids, device="cpu")[:, None])[:, 0]
        mark_T = self._marks(surprise_T)
        self.told = Told(torch.cat((self.told.mark_S, mark_T)), torch.cat((self.told.surprise_S, surprise_T)))
        self._last_V = log_TV[-1].clone()

    def state_dict(self) -> dict[str, Tensor]:
        """All there is."""
        return {"surprise": self.told.surprise_S, "mark": self.told.mark_S, "last": self._last_V}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        self.told, self._last_V = Told(state["mark"], state["surprise"]), state["last"]

    def _marks(self, surprise_T: Tensor) -> Tensor:
        segment, tokens = self._plan.segment, len(surprise_T)
        if not segment.surprise:
            return torch.zeros(tokens, dtype=torch.bool, device="cpu")
        similarity_PP = self._similarity(tokens) if segment.by_keys and tokens > 1 else None
        return segment.marks(surprise_T, self.told.surprise_S[-self._plan.window :], similarity_PP)

    def _similarity(self, tokens: int) -> Tensor:
        """Products of un-rotated keys, summed over the heads of the layers from 5/8 of the depth on (20 of 32).

        They begin where the last block before the chunk does, if that was in the chunk before.
        """
        marked = torch.nonzero(self.told.mark_S[-tokens:]).flatten()
        known = min(tokens, len(self.told.mark_S))
        offset = known - int(marked[-1]) if len(marked) else 0
        deep = self.layers[math.ceil(_FROM_DEPTH * len(self.layers)) :] or self.layers[-1:]
        keys = [layer.recent.tokens.k_GTD[:, -(tokens + offset) :].float() for layer in deep]
        return torch.stack([(k_GPD @ k_GPD.transpose(1, 2)).sum(0) for k_GPD in keys]).sum(0).cpu()
