"""Where rows lie, so that attention can meet them there.

Shapes: G KV heads, N searches, X rows that each search fetches.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Lying(NamedTuple):
    """The memories in which rows lie, each `[G, size, *shape]` a name; where there are several, which of them a row
    lies in; and where in it: `[N, X]`.
    """

    memories: list[tuple[Tensor, ...]]
    which_NX: Tensor | None
    at_NX: Tensor

    def joined(self, other: Lying, others_NX: Tensor) -> Lying:
        """The same, but for those of `others_NX`, which lie where `other` says."""
        own, theirs = (0 if lying.which_NX is None else lying.which_NX for lying in (self, other))
        which_NX = torch.where(others_NX, theirs + len(self.memories), own)
        return Lying(self.memories + other.memories, which_NX, torch.where(others_NX, other.at_NX, self.at_NX))
