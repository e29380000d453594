"""Task families that make documents with questions: one module a family, found by its file name.

The same generators make the bundled model's training documents, the evaluations and the demo. No torch here.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from farspan.errors import UsageError, nearest
from farspan.tasks.base import Count, Family, Filler, Question, Sample
from farspan.tasks.fillers import Synthetic, Text

__all__ = ["Count", "Family", "Filler", "Question", "Sample", "Synthetic", "Text", "get", "names"]

_SHARED = {"base", "fillers", "words"}


def names() -> list[str]:
    """The names of all families, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _SHARED)


def get(name: str) -> Family:
    """The family called `name`. Raises UsageError for an unknown one."""
    if name not in names():
        raise UsageError(f"no task is called {name!r}", fix=nearest(name, names()))
    return cast(Family, importlib.import_module(f"{__name__}.{name}"))
