"""Every method by its name, found by its file: `names`, `get`, `describe`, `parse`.

A method is a file of this folder with a function of the same name; others are taken from the entry points of group
`farspan.methods`.
"""

from __future__ import annotations

from typing import Any

from farspan.methods.parts import expression
from farspan.methods.parts.method import Method, MethodCard, MethodFactory
from farspan.methods.parts.named import Named

__all__ = ["Method", "MethodCard", "describe", "get", "names", "parse", "self_sufficient"]

_FOUND: Named[MethodFactory[Any]] = Named(
    __name__, __path__, "method", elsewhere="; with one that re-reads, farspan.readers.begin_session begins a session"
)


def names() -> list[str]:
    """Every method that is installed, sorted."""
    return _FOUND.names()


def self_sufficient() -> list[str]:
    """Those that can be used by their name alone."""
    return [name for name in names() if not get(name).required]


def get(name: str) -> MethodFactory[Any]:
    """The method of that name, to be called with its keywords. Raises MethodError that names the nearest."""
    return _FOUND.get(name)


def describe(name: str) -> MethodCard:
    """What the method is, whose it is and what it does with what does not fit."""
    return get(name).card


def parse(text: str | Method) -> Method:
    """Read `"infllm(top_k=32)+int8"`; a Method is returned as it is. Raises MethodError."""
    return text if isinstance(text, Method) else expression.parse(text, get)
