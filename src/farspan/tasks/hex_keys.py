"""Hex keys: key-value lines whose keys are eight random hexadecimal digits, as in `3f9a77b2: 48213`."""

from __future__ import annotations

import random

from farspan.tasks import key_value
from farspan.tasks.base import Count, Filler, Sample


def make(rng: random.Random, *, length: int, count: Count, filler: Filler, questions: int = 1) -> Sample:
    """As many lines as fit, up to key_value.MOST; what they do not fill, prose does."""
    return key_value.lines(rng, draw, length=length, count=count, filler=filler, questions=questions)


def draw(rng: random.Random) -> str:
    """Eight hexadecimal digits."""
    return f"{rng.getrandbits(32):08x}"
