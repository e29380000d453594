"""Scorers: pure functions of a reply and the turn it answers, found by name over the modules of this folder.

A scorer is a public function `name(reply, turn) -> Score` of a module here. Nothing a model wrote is ever evaluated.
`score` is the one entry: it cleans the reply, refuses echoes and listings, and calls the turn's scorer.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache

from farspan.errors import UsageError, nearest
from farspan.evals.scorers.base import Score, cleaned, is_echo, is_listing
from farspan.tasks import Turn

__all__ = ["Score", "Scorer", "names", "score"]

Scorer = Callable[[str, Turn], Score]


@cache
def _found() -> Mapping[str, Scorer]:
    found: dict[str, Scorer] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg or module.name == "base":
            continue
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            if function.__module__ == loaded.__name__ and not name.startswith("_"):
                found[name] = function
    return found


def names() -> list[str]:
    """Every scorer, sorted."""
    return sorted(_found())


def score(reply: str, turn: Turn) -> Score:
    """What a reply earns: 0 when it is empty (null), an echo of the context, or a listing of what else is there.

    Raises UsageError for a scorer that does not exist.
    """
    if turn.scorer not in _found():
        raise UsageError(f"no scorer is called {turn.scorer!r}", fix=nearest(turn.scorer, names()))
    text = cleaned(reply)
    if not text:
        return Score(0.0, null=True)
    if is_echo(text, turn):
        return Score(0.0, parsed="an echo of the context")
    if is_listing(text, turn):
        return Score(0.0, parsed="a listing of other answers")
    return _found()[turn.scorer](text, turn)
