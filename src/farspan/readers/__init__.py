"""Every reader by its name, found by its file: `names`, `get`; for readers and methods alike `describe`, `parse`,
`parse_method`, `cards` and `open_reading`.

A reader keeps the text instead of its KV. When a question comes it reads the text again in pieces that fit the model's
window, keeps what matters, and answers from that in a fresh session. It is a file of this folder with a function of the
same name; others are taken from the entry points of group `farspan.readers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from farspan import methods
from farspan.errors import MethodError, nearest
from farspan.methods import Method, MethodCard
from farspan.methods.parts import expression
from farspan.methods.parts.named import Named
from farspan.types import Budget

if TYPE_CHECKING:
    from farspan.engine import Model, Session
    from farspan.readers.kit.reader import Reader, ReaderFactory
    from farspan.readers.kit.session import ReaderSession

__all__ = ["cards", "describe", "get", "names", "open_reading", "parse", "parse_method"]

_FOUND: Named[ReaderFactory[Any]] = Named(__name__, __path__, "reader")


def names() -> list[str]:
    """Every reader that is installed, sorted."""
    return _FOUND.names()


def get(name: str) -> ReaderFactory[Any]:
    """The reader of that name, to be called with its keywords. Raises MethodError that names the nearest."""
    return _FOUND.get(name)


def describe(name: str) -> MethodCard:
    """The card of a reader or a method. Raises MethodError that names the nearest of both."""
    if name in names():
        return get(name).card
    if name in methods.names():
        return methods.describe(name)
    known = [*names(), *methods.names()]
    raise MethodError(f"there is no method {name!r}", fix=nearest(name, known))


def cards() -> list[MethodCard]:
    """The cards of all methods, and behind them those of all readers."""
    return [describe(name) for name in [*methods.names(), *names()]]


def parse(text: str | Method | Reader) -> Method | Reader:
    """Read an expression of a reader or of methods; a value is returned as it is. Raises MethodError."""
    if not isinstance(text, str):
        return text
    calls, known = expression.calls(text), names()
    reading = [call for call in calls if call.name in known]
    if not reading:
        for call in calls:
            describe(call.name)
        return methods.parse(text)
    name = reading[0].name
    if len(calls) > 1 or reading[0].layers:
        raise MethodError(f"{name} reads again and stands alone", fix=f"write {name} by itself")
    return get(name)(**reading[0].keywords)


def parse_method(text: str | Method) -> Method:
    """Read an expression where only methods can stand. Raises MethodError that says so for a reader."""
    chosen = parse(text)
    if isinstance(chosen, Method):
        return chosen
    raise MethodError(
        f"{chosen} runs no model until it is asked, and nothing is asked here",
        fix="choose a method that does not re-read",
    )


def open_reading(
    model: Model,
    method: str | Method | Reader = "full",
    budget: Budget | str | int | None = None,
    path: Path | str | None = None,
) -> Session | ReaderSession:
    """Begin a session of any method or reader; a reader's has the same `read`, `ask`, `chat`, `replay` and `fork`.

    Raises what `Model.session` raises, and SessionError for a reader with a `path`: it is not kept yet.
    """
    chosen = parse(method)
    if isinstance(chosen, Method):
        return model.session(chosen, budget, path)
    from farspan.readers.kit.session import ReaderSession, cannot_be_kept

    if path is not None:
        raise cannot_be_kept(chosen)
    return ReaderSession(model, chosen, Budget.parse(budget))
