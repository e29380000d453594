"""Nothing stands for a block: selectors that need no index look at its keys themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import Column, Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.notes import NoNotes


@dataclass(frozen=True, slots=True)
class NoIndex(NoNotes):
    """No index."""

    needs_mass: bool = False
    needs_queries: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """No columns."""
        return ()

    def rows(self, blocks: BlockTokens) -> Rows:
        """No columns."""
        return {}
