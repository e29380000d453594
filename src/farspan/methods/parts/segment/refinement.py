"""Boundaries moved to where they part the keys best (EM-LLM, arXiv 2407.09450, section 3.2 and algorithm 1).

The tokens around a boundary are a graph whose edges are the products of their keys; each place where the event might
end parts it in two.

Shapes: T tokens of a chunk, P tokens of the chunk and of the event that it goes on with, W tokens around a boundary.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Quality = Literal["modularity", "conductance"]


def refined(mark_T: Tensor, similarity_PP: Tensor, offset: int, shortest: int, quality: Quality) -> Tensor:
    """Marks `[T]` after each was moved to the best place between the boundary before it and itself.

    `similarity_PP` begins `offset` tokens before the chunk, where the event that the chunk goes on with does. As in the
    authors' code, half an event on either side is looked at too.
    """
    moved_T = torch.zeros_like(mark_T)
    before = 0
    for end in (torch.nonzero(mark_T).flatten() + offset).tolist():
        first = max(before + shortest, offset)
        if first > end:
            continue
        half = (end - before) // 2
        low, high = max(0, before - half), min(similarity_PP.shape[0], end + half)
        split_S = torch.arange(max(first, low + 1), min(end, high - 1) + 1, device=similarity_PP.device)
        if len(split_S):
            end = int(split_S[best_split(similarity_PP[low:high, low:high], split_S - low, quality)])
        moved_T[end - offset] = True
        before = end
    return moved_T


def best_split(similarity_WW: Tensor, split_S: Tensor, quality: Quality) -> int:
    """Which of the places `split_S` parts the tokens best: of equal ones the first."""
    if quality == "modularity":
        return int(modularity(similarity_WW, split_S).argmax())
    return int(conductance(similarity_WW, split_S).argmin())


def modularity(similarity_WW: Tensor, split_S: Tensor) -> Tensor:
    """Of two communities, tokens before a place and from it on, how much more alike they are inside than by chance."""
    inside_S, behind_S = _inside(similarity_WW, split_S)
    total = similarity_WW.sum()
    degree_S = _before(similarity_WW.sum(1), split_S)
    chance_S = (degree_S.square() + (total - degree_S).square()) / total
    return (inside_S + behind_S - chance_S) / (2 * total)


def conductance(similarity_WW: Tensor, split_S: Tensor) -> Tensor:
    """How much of the likeness a place cuts, as a share of what stays on the smaller side."""
    inside_S, behind_S = _inside(similarity_WW, split_S)
    cut_S = (similarity_WW.sum() - inside_S - behind_S) / 2
    return cut_S / torch.minimum(inside_S, behind_S).clamp_min(1e-15)


def _inside(similarity_WW: Tensor, split_S: Tensor) -> tuple[Tensor, Tensor]:
    """The sums over pairs of tokens both before a place, and both from it on."""
    corner_WW = similarity_WW.cumsum(0).cumsum(1)
    inside_S = corner_WW[split_S - 1, split_S - 1]
    crossing_S = _before(similarity_WW.sum(1), split_S) + _before(similarity_WW.sum(0), split_S)
    return inside_S, similarity_WW.sum() - crossing_S + inside_S


def _before(sum_W: Tensor, split_S: Tensor) -> Tensor:
    return sum_W.cumsum(0)[split_S - 1]
