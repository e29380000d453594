"""What is the same for all layers at one chunk, such as angles, and is made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """Keeps what was made under a key. One lives as long as a chunk is run through the model."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, make: Callable[[], T]) -> T:
        """What stands under this key, which `make` makes the first time."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made
