"""Saved sessions: opened with the model that they were made with, or refused before anything of theirs is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from farspan.engine.kv import KVMemory
from farspan.engine.model import Model, load
from farspan.engine.session import Session
from farspan.engine.settings import KVSettings
from farspan.engine.store import Store
from farspan.engine.stream import Stream
from farspan.engine.transcript import Transcript
from farspan.errors import FarspanError, SessionError
from farspan.methods import parse
from farspan.types import Budget

Kept = TypeVar("Kept")
Restore = Callable[[Store, dict[str, Any], dict[str, Tensor], Model], Kept]
"""Makes a session of what was committed to a folder, and of the model that it was made with."""


def open_session(path: Path | str, model: Model | str | Path | None = None, *, device: str | None = None) -> Session:
    """Open a saved or interrupted session of a method.

    The model it was made with is loaded unless one is given: loaded already, or a folder or name, where it may lie
    elsewhere now. What is loaded here has the session's dtype and goes to `device`. Raises SessionError when there is
    no session, it is damaged or in use, or was made with another model or dtype.
    """
    return open_kept(path, restored, model, device)


def open_kept(
    path: Path | str, restore: Restore[Kept], model: Model | str | Path | None = None, device: str | None = None
) -> Kept:
    """Open a session as `open_session` does; `restore` makes it. The folder is let go again when that fails."""
    store = Store(Path(path), new=False)
    try:
        plain, tensors = store.load()
        with _refusing_damage(store.folder):
            name, dtype = plain["model"], plain["dtype"]
        if not isinstance(model, Model):
            model = load(model or name, dtype=dtype, device=device)
        with _refusing_damage(store.folder):
            _check_same_model(store.folder, plain, model)
            return restore(store, plain, tensors, model)
    except BaseException:
        store.close()
        raise


def restored(store: Store, plain: dict[str, Any], tensors: dict[str, Tensor], model: Model) -> Session:
    """The session of a method that was committed to a folder."""
    method, budget = parse(plain["method"]), Budget.parse(plain["budget"])
    settings = KVSettings(model.hosted, method, budget, plain["chunk"], model.runner)
    kv = KVMemory(settings, store.folder / "layers", plain, tensors, lasting=True)
    stream = Stream(kv, Transcript(store.folder / "text", plain["transcript"]), plain["pending"])
    return Session(model, stream, store=store, stage=plain["stage"])


@contextmanager
def _refusing_damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except FarspanError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise SessionError(
            f"the session in {folder} is damaged: {type(error).__name__}, {error}",
            fix="restore the folder from a copy, or remove it and read the text again",
        ) from error


def _check_same_model(folder: Path, plain: Mapping[str, Any], model: Model) -> None:
    if model.fingerprint != plain["model_fingerprint"]:
        raise SessionError(
            f"the session in {folder} was made with {plain['model']}, not with {model.name}",
            fix=f"open it with -m {plain['model']}",
        )
    if model.dtype != plain["dtype"]:
        raise SessionError(
            f"the session in {folder} holds {plain['dtype']}, and the model was loaded in {model.dtype}",
            fix=f"load the model with dtype {plain['dtype']}",
        )
