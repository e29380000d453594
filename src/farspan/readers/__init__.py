"""Every reader by its name, found by its file: `names`, `get`; for readers and methods alike `describe`, `parse`,
`parse_method`, `cards`, `begin_session` and `open_session`.

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
    from torch import Tensor

    from farspan.engine import Model, Session
    from farspan.engine.store import Store
    from farspan.readers.kit.reader import Reader, ReaderFactory
    from farspan.readers.kit.session import ReaderSession

__all__ = ["begin_session", "cards", "describe", "get", "names", "open_session", "parse", "parse_method"]

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


def parse_method(text: str | Method | Reader) -> Method:
    """Read an expression where only methods can stand. Raises MethodError that says so for a reader."""
    chosen = parse(text)
    if isinstance(chosen, Method):
        return chosen
    raise MethodError(
        f"{chosen} runs no model until it is asked, and nothing is asked here",
        fix="choose a method that does not re-read",
    )


def begin_session(
    model: Model,
    method: str | Method | Reader = "full",
    budget: Budget | str | int | None = None,
    path: Path | str | None = None,
) -> Session | ReaderSession:
    """Begin a session of any method or reader; a reader's has the same `read`, `ask`, `chat`, `replay`, `fork`, `save`.

    With a new folder as `path` it is kept there. Raises what `Model.session` raises.
    """
    chosen = parse(method)
    if isinstance(chosen, Method):
        return model.session(chosen, budget, path)
    from farspan.readers.kit.keeping import begin
    from farspan.readers.kit.settings import ReaderSettings

    return begin(ReaderSettings.of(model, chosen, Budget.parse(budget)), path)


def open_session(
    path: Path | str, model: Model | str | Path | None = None, *, device: str | None = None
) -> Session | ReaderSession:
    """Open a saved or interrupted session of any method or reader.

    The model it was made with is loaded unless one is given: loaded already, or a folder or name, where it may lie
    elsewhere now. What is loaded here has the session's dtype and goes to `device`. Raises SessionError when there is
    no session, it is damaged or in use, or was made with another model or dtype.
    """
    from farspan.engine import opening
    from farspan.readers.kit.keeping import restored

    def restore(
        store: Store, plain: dict[str, Any], tensors: dict[str, Tensor], host: Model
    ) -> Session | ReaderSession:
        chosen = parse(plain["method"])
        if isinstance(chosen, Method):
            return opening.restored(store, plain, tensors, host)
        return restored(store, plain, host, chosen)

    return opening.open_kept(path, restore, model, device)
