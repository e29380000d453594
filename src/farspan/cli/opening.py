"""Models and sessions as the options name them: where a session lies, opened again or begun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from farspan import env
from farspan.cli.options import DEFAULT_BUDGET, DEFAULT_METHOD, SessionOptions
from farspan.errors import SessionError, UsageError, nearest
from farspan.types import Budget

if TYPE_CHECKING:
    from farspan import Model, Session
    from farspan.readers.kit.session import ReaderSession

RECORD = "session.json"
LONGEST_NAME = 255


def load_model(options: SessionOptions) -> Model:
    """Load the model that the options name."""
    import farspan

    hush()
    return farspan.load(options.model, dtype=options.dtype, device=options.device)


def hush() -> None:
    """Keep transformers' notes and bars off stderr. A download's bars, which are the Hub's, stay."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging

    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()


def session_folder(name: str) -> Path:
    """Where the session `name` lies: a plain name is in FARSPAN_HOME, a path is that folder.

    Raises UsageError for a name that is neither.
    """
    if os.sep in name:
        return Path(name)
    length = len(os.fsencode(name))
    if not name or name.startswith(".") or length > LONGEST_NAME:
        too_long = f": it has {length} bytes, and {LONGEST_NAME} are allowed" if length > LONGEST_NAME else ""
        raise UsageError(
            f"{name!r} cannot name a session{too_long}",
            fix="use a plain name such as thesis, or a path such as ./thesis",
        )
    return env.sessions_folder() / name


def existing_session(name: str) -> Path:
    """The folder of the session `name`. Raises SessionError, with a name that is near, where there is none."""
    if _is_new(name):
        known = [record.parent.name for record in env.sessions_folder().glob(f"*/{RECORD}")]
        raise SessionError(
            f"there is no session {name!r}",
            fix=nearest(name, known) if known else "farspan read FILE --session NAME begins one",
        )
    return session_folder(name)


@contextmanager
def opened(options: SessionOptions, *, begins: bool = True) -> Iterator[Session | ReaderSession]:
    """Open the session that the options name, or begin one; it is closed at the end, whatever happens.

    Raises SessionError where there is no session of that name and none `begins`.
    """
    from farspan import readers

    method = readers.parse(options.method or DEFAULT_METHOD)
    budget = Budget.parse(options.budget or DEFAULT_BUDGET)
    folder = session_folder(options.session) if options.session else None
    session: Session | ReaderSession
    if options.session and not (begins and _is_new(options.session)):
        session = _reopened(existing_session(options.session), options)
    else:
        session = readers.begin_session(load_model(options), method, budget, folder)
    try:
        yield session
    finally:
        session.close()


def _is_new(name: str) -> bool:
    return not (session_folder(name) / RECORD).exists()


def _reopened(folder: Path, options: SessionOptions) -> Session | ReaderSession:
    import farspan

    hush()
    session = farspan.open(folder, options.model, device=options.device)
    try:
        _refuse_changes(session, options)
    except BaseException:
        session.close()
        raise
    return session


def _refuse_changes(session: Session | ReaderSession, options: SessionOptions) -> None:
    """A session keeps the method, budget and dtype that it began with. Raises SessionError where the options differ."""
    from farspan import readers

    asked = {
        "--method": (options.method and str(readers.parse(options.method)), str(session.method)),
        "--budget": (options.budget and str(Budget.parse(options.budget)), str(session.budget)),
        "--dtype": (options.dtype, session.model.dtype),
    }
    for option, (wanted, has) in asked.items():
        if wanted and wanted != has:
            raise SessionError(
                f"session {options.session!r} was begun with {option} {has!r}, not {wanted!r}",
                fix=f"leave {option} out, or give another --session name",
            )
