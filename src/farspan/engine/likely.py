"""How likely the model held tokens to be.

Shapes: T tokens, V vocabulary, K most likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Likely(NamedTuple):
    """A token, the logarithm of its probability, and those of the most likely tokens in its place, the best first."""

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def likely(logits_TV: Tensor, ids: Sequence[int], top: int) -> list[Likely]:
    """What logits `[T, V]` say of the tokens that came where each of them points, with the `top` most likely."""
    logprobs_TV = logits_TV.float().log_softmax(dim=-1).cpu()
    best_TK, id_TK = logprobs_TV.topk(min(top, logprobs_TV.shape[-1]), dim=-1)
    return [
        Likely(id_, float(row_V[id_]), tuple(zip(id_K.tolist(), best_K.tolist(), strict=True)))
        for id_, row_V, best_K, id_K in zip(ids, logprobs_TV, best_TK, id_TK, strict=True)
    ]
