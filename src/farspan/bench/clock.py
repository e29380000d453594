"""Seconds of a call, to the end of what it set going on a GPU, and calls that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Given = TypeVar("Given")


def seconds_of(call: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """How long a call takes; what was set going before it does not count."""
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - began


def in_turns(calls: Sequence[Callable[[], Given]], rounds: int) -> Iterator[list[Given]]:
    """What the calls gave in each of some rounds of all of them, after one round that warms up."""
    for number in range(rounds + 1):
        given = [call() for call in calls]
        if number:
            yield given


def _wait(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
