"""Single needle: one sentence that gives a number to a two-word key, hidden in prose."""

from __future__ import annotations

import random

from farspan.tasks import needle
from farspan.tasks.base import Count, Filler, Sample


def make(rng: random.Random, *, length: int, count: Count, filler: Filler, questions: int = 1) -> Sample:
    """One fact at a random depth, and the question for it."""
    return needle.make(rng, length=length, count=count, filler=filler, needles=1, questions=questions)
