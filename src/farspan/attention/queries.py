"""A chunk's queries, un-rotated and as they are turned to look for keys.

Shapes: H query heads, T tokens, O other tokens, D key width, F rotary frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.attention.runs import Table


@dataclass(frozen=True, eq=False)
class Queries:
    """Un-rotated queries, and the cos and sin `[T, F]` by which `rope` turns them; None: they are not turned."""

    still_HTD: Tensor
    rope: Rope | None = None
    angles: Table | None = None

    @cached_property
    def turned_HTD(self) -> Tensor:
        """The queries turned, in their own dtype."""
        if self.rope is None or self.angles is None:
            return self.still_HTD
        return self.rope.apply(self.still_HTD, self.angles)

    def turned_like_last(self, still_HOD: Tensor) -> Tensor:
        """Other queries turned by the angles of the chunk's last token."""
        if self.rope is None or self.angles is None:
            return still_HOD
        cos_TF, sin_TF = self.angles
        return self.rope.apply(still_HOD, (cos_TF[-1:], sin_TF[-1:]))
