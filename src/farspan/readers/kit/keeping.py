"""Where a reader's session begins: with nothing, or with what was committed to its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farspan.engine import Model
from farspan.engine.store import Store
from farspan.engine.transcript import Transcript
from farspan.folders import scratch_folder
from farspan.readers.kit.conversation import Conversation
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.session import ReaderSession
from farspan.readers.kit.settings import ReaderSettings
from farspan.readers.kit.text import ReadText
from farspan.types import Budget


def begin(settings: ReaderSettings, path: Path | str | None) -> ReaderSession:
    """A session that has read nothing, kept in a new folder where one is named.

    Raises SessionError when there is a session in the folder.
    """
    conversation = Conversation(settings.model.template)
    if path is None:
        scratch = scratch_folder()
        return ReaderSession(settings, _text(Path(scratch.name)), conversation, scratch=scratch)
    store = Store(Path(path), new=True)
    try:
        session = ReaderSession(settings, _text(store.folder), conversation, store=store)
        session.commit()
    except BaseException:
        store.close()
        raise
    return session


def restored(store: Store, plain: Mapping[str, Any], model: Model, method: Reader) -> ReaderSession:
    """The session that was committed to a folder."""
    settings = ReaderSettings.of(model, method, Budget.parse(plain["budget"]))
    turns = [[int(id_) for id_ in turn.split()] for turn in plain["turns"]]
    text = _text(store.folder, plain["transcript"])
    return ReaderSession(settings, text, Conversation(model.template, turns), store=store)


def _text(folder: Path, state: Mapping[str, Any] | None = None) -> ReadText:
    transcript = Transcript(folder / "text", state)
    return ReadText(transcript, len(transcript))
