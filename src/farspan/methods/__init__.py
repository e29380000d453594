"""Every method by its name, found by its file: `names`, `get`, `describe`, `parse`.

A method is a file of this folder with a function of the same name; others are taken from the entry points of group
`farspan.methods`.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from farspan.errors import MethodError, nearest
from farspan.methods.parts import expression
from farspan.methods.parts.method import Method, MethodCard, MethodFactory

__all__ = ["Method", "MethodCard", "describe", "get", "names", "parse"]

_GROUP = "farspan.methods"


def names() -> list[str]:
    """Every method that is installed, sorted."""
    own = {module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg}
    return sorted(own | {point.name for point in entry_points(group=_GROUP)})


def get(name: str) -> MethodFactory[Any]:
    """The method of that name, to be called with its keywords. Raises MethodError that names the nearest."""
    if name not in names():
        raise MethodError(f"there is no method {name!r}", fix=nearest(name, names()))
    for point in entry_points(group=_GROUP):
        if point.name == name:
            loaded: MethodFactory[Any] = point.load()
            return loaded
    factory: MethodFactory[Any] = getattr(importlib.import_module(f"{__name__}.{name}"), name)
    return factory


def describe(name: str) -> MethodCard:
    """What the method is, whose it is and what it does with what does not fit."""
    return get(name).card


def parse(text: str | Method) -> Method:
    """Read `"infllm(top_k=32)+int8"`; a Method is returned as it is. Raises MethodError."""
    return text if isinstance(text, Method) else expression.parse(text, get)
