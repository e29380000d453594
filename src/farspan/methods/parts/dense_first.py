"""First layers in which a method that chooses blocks does not choose, as Quest and HiP have them."""

from __future__ import annotations

from farspan.methods.parts.axes import Positions
from farspan.methods.parts.index.none import NoIndex
from farspan.methods.parts.place.layers import FirstLayers
from farspan.methods.parts.positions.capped import CappedDistance
from farspan.methods.parts.select.everything import Everything
from farspan.methods.parts.select.ranking import When
from farspan.methods.parts.terms import Varied


def dense_first(count: int | None, when: When, positions: Positions) -> Varied:
    """In the first `count` layers every stored block is attended to, `when` the method looks at blocks at all.

    None for `count` is an eighth of the model's layers.

    What stays on the device and what a full store drops is as in all layers. Positions that count what is fetched
    would reach as far as the text, so that far keys are met at the edge of the window instead.
    """
    far = positions if positions.keeps_distance else CappedDistance("far")
    return FirstLayers(count), {"select": Everything(when, needs_all=False), "index": NoIndex(), "positions": far}
