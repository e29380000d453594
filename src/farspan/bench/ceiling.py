"""What this machine gives at most: how fast it reads memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

_BYTES = 512 << 20
_ROUNDS = 5


def read_bandwidth() -> float:
    """Bytes a second that are read from a buffer larger than any cache, by the threads that torch has now.

    The best of a few ways and rounds: what something else that reads could hope for.
    """
    numbers = torch.ones(_BYTES // 4)
    ways: tuple[Callable[[Tensor], Tensor], ...] = (torch.sum, torch.amax, lambda x: torch.dot(*x.chunk(2)))
    return _BYTES / min(_seconds(way, numbers) for _ in range(_ROUNDS) for way in ways)


def _seconds(way: Callable[[Tensor], Tensor], numbers: Tensor) -> float:
    began = time.perf_counter()
    way(numbers)
    return time.perf_counter() - began
