"""The ways in which methods that recall let their users choose how far keys are met."""

from __future__ import annotations

from collections.abc import Mapping

from farspan.methods.parts.axes import Positions
from farspan.methods.parts.positions.capped import CappedDistance
from farspan.methods.parts.positions.compact import CompactPositions
from farspan.methods.parts.positions.true import TruePositions

FAR: Mapping[str, Positions] = {"capped": CappedDistance("far"), "compact": CompactPositions()}
FAR_OR_TRUE: Mapping[str, Positions] = {**FAR, "true": TruePositions()}
