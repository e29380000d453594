"""A chunk's queries: un-rotated, as they are turned to meet keys, and as they look for keys that are stored.

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
    """Un-rotated queries, and the cos and sin `[T, F]` by which `rope` turns them; None: they are not turned.

    A key that is met is multiplied by the rope's scaling wherever it stands, and a stored one is not yet: queries that
    look for it are multiplied in its stead, so that they score it as a key at position 0.
    """

    still_HTD: Tensor
    rope: Rope | None = None
    angles: Table | None = None

    @cached_property
    def turned_HTD(self) -> Tensor:
        """The queries as they meet keys, in their own dtype."""
        return self._turned(self.still_HTD, self.angles)

    @cached_property
    def seeking(self) -> Table | None:
        """cos and sin `[T, F]` of queries that look for stored keys, with the scaling of those in them."""
        if self.rope is None or self.angles is None or self.rope.attention_scaling == 1:
            return self.angles
        cos_TF, sin_TF = self.angles
        return cos_TF * self.rope.attention_scaling, sin_TF * self.rope.attention_scaling

    @cached_property
    def seeking_HTD(self) -> Tensor:
        """The queries as they look for stored keys, in their own dtype."""
        return self._turned(self.still_HTD, self.seeking)

    def seeking_like_last(self, still_HOD: Tensor) -> Tensor:
        """Other queries that look for stored keys, turned as the chunk's last token is."""
        if self.seeking is None:
            return still_HOD
        cos_TF, sin_TF = self.seeking
        return self._turned(still_HOD, (cos_TF[-1:], sin_TF[-1:]))

    def at_start(self, x: Tensor) -> Tensor:
        """Un-rotated vectors `[..., D]` as they are met at position 0."""
        return x if self.rope is None else self.rope.at_start(x)

    def _turned(self, still_HTD: Tensor, angles: Table | None) -> Tensor:
        return still_HTD if self.rope is None or angles is None else self.rope.apply(still_HTD, angles)
