"""What every head looks at most, token by token: for measuring heads.

Shapes: H query heads, L layers, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from farspan.attention.meeting import Strongest
from farspan.engine.session import Session
from farspan.engine.watch import Watch


def peaks(session: Session, ids: Iterable[int]) -> Tensor:
    """Feed token ids to a session one by one, and give the place in the stream that each head looks at most from each.

    int64 `[T, L, H]`, for the layers that have no sliding window of their own.
    """
    stream = session._stream
    stream.read_pending()
    rows = []
    for id_ in ids:
        watch = _Peaks()
        stream.feed([id_], watch)
        rows.append(torch.stack(watch.places))
    return torch.stack(rows)


class _Peaks(Watch):
    """A watch that notes one thing: the place `[H]` that each head looks at most, layer after layer."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Tensor] = []

    def note(self, strongest: Strongest, lse_H: Tensor) -> None:
        """End one layer's query."""
        self.places.append(strongest.place_HK[:, 0].cpu())
