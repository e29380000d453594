"""A side of `farspan.bench.peers.worker` that does nothing, and says how it was asked."""

from __future__ import annotations

import os
import sys


class Side:
    """Takes two seconds a token to write, one to read."""

    version = "1.0"

    def __init__(self) -> None:
        self.calls: list[object] = []
        print("made")  # what a library prints must not mix with the answers

    def load(self, **how: object) -> None:
        self.calls.append(how)

    def logits(self, ids: list[int]) -> list[float]:
        return [float(sum(ids)), 1.0]

    def read(self, ids: list[int]) -> None:
        self.calls.append(ids)

    def write(self, ids: list[int]) -> tuple[float, int]:
        return 2.0 * len(ids), len(ids)

    def read_on(self, ids: list[int]) -> tuple[float, int]:
        return 1.0 * len(ids), len(ids)

    def asked(self) -> list[object]:
        return self.calls

    def fail(self) -> None:
        raise ValueError("no room")

    def die(self) -> None:
        print("out of memory", file=sys.stderr, flush=True)
        os._exit(1)
