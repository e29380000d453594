"""The first tokens and the last ones stay on the device; the rest is stored for recall, or dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from farspan.methods.parts.window_share import window_share


@dataclass(frozen=True, slots=True)
class SinksAndWindow:
    """Keep `sinks` first tokens and the last `window`; what lies between is dropped, for good.

    A window of None is the model's window less the sinks, so that nothing is ever further away than was trained.
    """

    sinks: int | None = 4
    window: int | None = None
    stores: bool = False
    pool: None = None

    def resolve(self, window: int) -> Self:
        """Choose the window for a model trained on `window` tokens."""
        return self if self.window is not None else replace(self, window=max(1, window - (self.sinks or 0)))

    def dense(self, window: int) -> int:
        """Everything is attended to until the window is full."""
        assert self.sinks is not None and self.window is not None
        return self.sinks + self.window


@dataclass(frozen=True, slots=True)
class FewTokens:
    """Keep `sinks` first tokens and the last `window`, few of either; what lies between is dropped, for good.

    Sinks of None are 64, and a 16th of the model's window where that is less; a window of None is 256, and what the
    sinks leave of the model's where that is less.
    """

    sinks: int | None = None
    window: int | None = None
    stores: bool = False
    pool: None = None

    def resolve(self, window: int) -> Self:
        """Choose sinks and window for a model trained on `window` tokens."""
        sinks = min(64, window // 16) if self.sinks is None else self.sinks
        local = max(1, min(256, window - sinks)) if self.window is None else self.window
        return replace(self, sinks=sinks, window=local)

    def dense(self, window: int) -> int:
        """Everything is attended to until the window is full."""
        assert self.sinks is not None and self.window is not None
        return self.sinks + self.window


@dataclass(frozen=True, slots=True)
class StoreTheRest:
    """Keep `sinks` first tokens and the last `window` on the device, and store what lies between.

    Sinks of None are `most_sinks`, and the model's window divided by `sink_share` where that is less; a window of None
    is that divided by `share`, and `most` at most. While the whole text fits the model's window, all of it is attended
    to.
    """

    sinks: int | None = None
    window: int | None = None
    stores: bool = True
    pool: None = None
    sink_share: int = 32
    most_sinks: int = 128
    share: int = 2
    most: int = 4096

    def resolve(self, window: int) -> Self:
        """Choose sinks and window for a model trained on `window` tokens."""
        sinks = min(self.most_sinks, window // self.sink_share) if self.sinks is None else self.sinks
        local = window_share(window, self.share, self.most) if self.window is None else self.window
        return replace(self, sinks=sinks, window=local)

    def dense(self, window: int) -> int:
        """Everything is attended to while the text fits the model's window."""
        assert self.sinks is not None and self.window is not None
        return max(self.sinks + self.window, window)


@dataclass(frozen=True, slots=True)
class StoreEverything:
    """Keep the last `window` tokens at hand and store all the others; no sinks.

    A window of None is the model's window divided by `share`, `most` at most. With `while_it_fits` all of a text is at
    hand while it fits the model's window.
    """

    sinks: int | None = 0
    window: int | None = None
    stores: bool = True
    pool: None = None
    share: int = 1
    while_it_fits: bool = False
    most: int | None = None

    def resolve(self, window: int) -> Self:
        """Choose the window for a model trained on `window` tokens."""
        local = window_share(window, self.share, self.most or window)
        return self if self.window is not None else replace(self, window=local)

    def dense(self, window: int) -> int:
        """Everything is attended to, always; up to here without blocks."""
        assert self.window is not None
        return max(self.window, window) if self.while_it_fits else self.window
