"""How lengths that were chosen for a large model follow a smaller one."""

from __future__ import annotations


def window_share(window: int, divisor: int, most: int) -> int:
    """A `divisor`-th of the model's window in tokens: `most` at most, and 1 at least."""
    return max(1, min(most, window // divisor))
