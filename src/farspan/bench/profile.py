"""Where the time of a turn goes, by the part of the program that spends it.

Parts are farspan's files, the model's linear layers, and the rest of transformers. What any other code takes, torch's
kernels included, counts for the part that called it.
"""

from __future__ import annotations

import cProfile
import pstats
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import farspan
from farspan.bench.race import Turn

_FARSPAN = str(Path(farspan.__file__).parent)
_LINEAR = "the model's linear layers"
_LINEAR_FILES = ("torch/nn/modules/linear.py", "farspan/attention/linear.py", "farspan/attention/native/product.py")
_MODEL = "the rest of the model"
_OTHER = "other"
_DEEPEST, _SHOWN = 20, 12

_Function = tuple[str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the program, its own milliseconds a token, and the share that they are of all."""

    name: str
    ms: float
    share: float


def parts(turn: Callable[[], Turn]) -> list[Part]:
    """The parts that a turn's time goes to, the longest first. Profiling itself makes what is called often longer."""
    profiler = cProfile.Profile()
    tokens = profiler.runcall(turn).tokens
    stats: dict[_Function, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    spent: dict[str, float] = defaultdict(float)
    for function, (_, _, own_s, _, _) in stats.items():
        _charge(stats, function, own_s, spent, _DEEPEST)
    total = sum(spent.values())
    longest = sorted(spent.items(), key=lambda item: -item[1])[:_SHOWN]
    return [
        Part(name=name, ms=round(1e3 * seconds / tokens, 3), share=round(seconds / total, 3))
        for name, seconds in longest
    ]


def _charge(
    stats: dict[_Function, Any], function: _Function, seconds: float, spent: dict[str, float], deepest: int
) -> None:
    """Add seconds to the part of a function, or share them out among its callers as they shared its time."""
    name, callers = _part(function[0]), stats[function][4]
    if name is not None or not callers or not deepest:
        spent[name or _OTHER] += seconds
        return
    within = {caller: times[3] for caller, times in callers.items()}
    total = sum(within.values())
    for caller, through_s in within.items():
        if through_s:
            _charge(stats, caller, seconds * through_s / total, spent, deepest - 1)


def _part(file: str) -> str | None:
    """The part that a file is, if it is one."""
    if file.endswith(_LINEAR_FILES):
        return _LINEAR
    if file.startswith(_FARSPAN):
        return file.removeprefix(_FARSPAN).lstrip("/")
    return _MODEL if "/transformers/" in file else None
