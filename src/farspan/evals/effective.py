"""Effective length: how far a method can be trusted on a task, by a fixed bar and by its own score when it is easy.

Papers: RULER, Hsieh et al. 2024 (arXiv 2404.06654), whose bar is what Llama-2-7B scores at 4K; NoLiMa, Modarressi et
al. 2025 (arXiv 2502.05167), whose bar is 0.85 of the score at the shortest length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from farspan.evals.plan import FULL
from farspan.types import format_count

BAR = 0.856
OWN_SHARE = 0.85
LEAST_BASE = 0.6
MOST_FAILED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveLength:
    """The longest length up to which a method holds its score on a task, in tokens.

    base: the score at `shortest`, the first length measured. absolute: up to where every score is at least BAR;
    relative: at least OWN_SHARE of `base`; 0 when not even the shortest is. Both are None when `base` is below
    LEAST_BASE, which guessing earns nowhere, or unknown: how far a model does what it cannot do, cannot be said.
    """

    task: str
    mode: str
    method: str
    budget: str
    shortest: int
    longest: int
    base: float | None
    absolute: int | None
    relative: int | None

    def shown(self, length: int | None) -> str:
        """One of its lengths for a reader: `8K`, `>= 64K` when that was the longest measured, `< 512`, or `n/a`."""
        if length is None:
            return "n/a"
        if not length:
            return f"< {format_count(self.shortest)}"
        return f">= {format_count(length)}" if length == self.longest else format_count(length)


def effective_lengths(cells: Iterable[Mapping[str, Any]]) -> list[EffectiveLength]:
    """One for every task, mode, method and budget that was measured on whole contexts at a length of its own."""
    scores: dict[tuple[str, ...], dict[int, float | None]] = defaultdict(dict)
    for cell in cells:
        if cell["context"] == FULL and cell["length"]:
            scores[cell["task"], cell["mode"], cell["method"], cell["budget"]][cell["length"]] = _known(cell)
    return [_effective(key, scores[key]) for key in sorted(scores)]


def _known(cell: Mapping[str, Any]) -> float | None:
    """A cell's score; None when more than MOST_FAILED of its questions failed, for the rest may be the easy ones."""
    asked = cell["questions"] + cell["failed"]
    return cell["score"] if cell["failed"] <= MOST_FAILED * asked else None


def held(scores: Mapping[int, float | None], bar: float) -> int:
    """The longest length up to which every score is at least `bar`; 0 when the first is not. What failed is below."""
    longest = 0
    for length in sorted(scores):
        score = scores[length]
        if score is None or score < bar:
            break
        longest = length
    return longest


def _effective(key: tuple[str, ...], scores: Mapping[int, float | None]) -> EffectiveLength:
    task, mode, method, budget = key
    base = scores[min(scores)]
    able = base is not None and base >= LEAST_BASE
    return EffectiveLength(
        task=task,
        mode=mode,
        method=method,
        budget=budget,
        shortest=min(scores),
        longest=max(scores),
        base=base,
        absolute=held(scores, BAR) if able else None,
        relative=held(scores, OWN_SHARE * base) if able and base is not None else None,
    )
