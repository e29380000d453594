"""Who is told of an answer while it is worked on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from farspan.engine import Generation
from farspan.engine.likely import Likely
from farspan.server.turns import Job
from farspan.types import Progress


class Listener(Protocol):
    """Who is told how an answer comes along; called in the thread that works on it."""

    def check(self) -> None:
        """Raise `Stopped` where nobody waits for the work any more."""

    def began(self, job: Job) -> None:
        """It takes turns at the model from now on; `job.stop()` ends it."""

    def read(self, progress: Progress) -> None:
        """A chunk was read."""

    def wrote(self, piece: str, likely: Sequence[Likely]) -> None:
        """Text of the answer is ready, and how likely its tokens were, where that was asked for."""


def write(reply: Generation, listener: Listener, eos: Collection[int]) -> list[Likely]:
    """Let an answer be written: the tokens that its text is made of, where it notes how likely they were."""
    worded: list[Likely] = []
    told = 0
    for piece in reply:
        fresh = [one for one in reply.likely[told:] if one.id not in eos]
        told = len(reply.likely)
        listener.wrote(piece, fresh)
        worded += fresh
    return worded
