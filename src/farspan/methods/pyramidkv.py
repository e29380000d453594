"""PyramidKV (Cai et al. 2024): more room for the lower layers."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.allocate.pyramid import Pyramid
from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.observed import ObservedAttention
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method, odd
from farspan.methods.parts.numbers import Numbers
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Cai et al. 2024, PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling "
    "(arXiv 2406.02069)",
    overflow="forgets",
)
def pyramidkv(
    *,
    capacity: int | None = None,
    beta: Annotated[float, Numbers(1)] = 20.0,
    window_size: int | None = None,
    kernel_size: int = 5,
    positions: str = "compact",
) -> dict[str, Part]:
    """As SnapKV, with more room for the lower layers, whose attention spreads, than for the upper ones, where it is
    gathered in a few tokens: the last layer gets a `beta`-th of the average, and the room falls along a line.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. It is an average over the layers; by
    default half of the model's window, since the first layer keeps nearly twice as much. Otherwise as in snapkv. Kept
    tokens are counted 0, 1, 2, ... so that no position is untrained; `positions=true` leaves them where the paper has
    them, for texts that fit the model's window.
    """
    return {
        "keep": BestTokens(ObservedAttention(window_size, odd("kernel_size", kernel_size)), capacity, share=0.5),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
        "allocate": Pyramid(beta),
    }
