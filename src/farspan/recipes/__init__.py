"""Recipes: functions that return a training run, one module each, over the one loop in `train.py`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from farspan.errors import UsageError, nearest

__all__ = ["Recipe", "describe", "names", "run"]

_SHARED = {
    "causal",
    "checkpoints",
    "corpus",
    "drills",
    "holding",
    "initialise",
    "layout",
    "losses",
    "mix",
    "rows",
    "shapes",
    "starting",
    "tokenizer",
    "train",
    "trainable",
}


class Recipe(Protocol):
    """A recipe module: its docstring says what it costs and what comes out; `run` does it."""

    def run(self, *, out: Path, overrides: dict[str, str], log: Callable[[str], None]) -> None:
        """Train and leave a loadable model in `out / "model"`."""
        ...


def names() -> list[str]:
    """The names of all recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _SHARED)


def describe(name: str) -> str:
    """What a recipe says of itself: command, expected time, expected scores."""
    return (_get(name).__doc__ or "").strip()


def run(name: str, *, out: Path, overrides: dict[str, str], log: Callable[[str], None]) -> None:
    """Run the recipe called `name`; it resumes when `out` holds an unfinished run.

    Raises UsageError for an unknown recipe or override, InputError when its training text is missing.
    """
    _get(name).run(out=out, overrides=overrides, log=log)


def _get(name: str) -> Recipe:
    if name not in names():
        raise UsageError(f"no recipe is called {name!r}", fix=nearest(name, names()))
    return cast(Recipe, importlib.import_module(f"{__name__}.{name}"))
