"""The ways in which methods let their users choose how far keys are met: recalled ones, or ones that were kept."""

from __future__ import annotations

from collections.abc import Mapping

from farspan.methods.parts.axes import Positions
from farspan.methods.parts.positions.capped import CappedDistance
from farspan.methods.parts.positions.compact import CompactPositions
from farspan.methods.parts.positions.true import TruePositions

FAR: Mapping[str, Positions] = {"capped": CappedDistance("far"), "compact": CompactPositions()}
FAR_OR_TRUE: Mapping[str, Positions] = {**FAR, "true": TruePositions()}
HIDDEN: Mapping[str, Positions] = {
    "capped": CappedDistance("hidden"),
    "compact": CompactPositions("hidden"),
    "true": TruePositions("hidden"),
}
KEPT: Mapping[str, Positions] = {"compact": CompactPositions(), "true": TruePositions()}
