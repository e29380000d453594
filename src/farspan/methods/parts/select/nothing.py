"""Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from farspan.methods.parts.searching import Fetched, Search


@dataclass(frozen=True, slots=True)
class Nothing:
    """What has left the device is not looked at again."""

    recalls: bool = False
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Chunks may have any length."""
        return None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """No blocks."""
        return iter(())
