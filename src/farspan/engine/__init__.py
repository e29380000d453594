"""The engine: a model, the chunk loop, sessions and their answers."""

from __future__ import annotations

from farspan.engine.generation import Generation
from farspan.engine.model import BUNDLED, Model, load
from farspan.engine.opening import open_session
from farspan.engine.sampling import Sampling
from farspan.engine.session import Session

__all__ = ["BUNDLED", "Generation", "Model", "Sampling", "Session", "load", "open_session"]
