"""What the commands that run a model share: open a session, read files into it, write an answer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farspan import env
from farspan.cli import progress, show
from farspan.cli.options import DEFAULT_BUDGET, DEFAULT_METHOD, OutputOptions, SessionOptions
from farspan.cli.piped import STDIN, piped
from farspan.errors import SessionError, UsageError, nearest
from farspan.types import Budget

if TYPE_CHECKING:
    from farspan import Model, Session
    from farspan.methods import Method
    from farspan.readers.kit.session import ReaderSession
    from farspan.text import Document

RECORD = "session.json"
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Reading:
    """What one command has read: tokens and seconds, without what an earlier command had read."""

    tokens: int = 0
    seconds: float = 0.0

    def timing(self, answer_s: float) -> dict[str, float]:
        """The `timing` member of a JSON answer."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return {
            "read_s": round(self.seconds, 3),
            "answer_s": round(answer_s, 3),
            "read_tokens_per_s": round(rate, 1),
        }


def inputs(files: Sequence[str]) -> list[str]:
    """The files to read, looked at before a model is loaded.

    Raises InputError for a file that is missing, empty or binary.
    """
    from farspan.text import Document

    for name in files:
        if name != STDIN and not os.path.isdir(name):
            Document.from_path(name)
    return list(files)


def inputs_or_pipe(files: Sequence[str], output: OutputOptions, asked: str | None = None) -> list[str]:
    """The same; a pipe when none is named, unless a session that is `asked` has read something."""
    return inputs(files) or piped(session_folder(asked) if asked else None, show.notice(output))


def documents(path: Path) -> list[Document]:
    """The documents of a file, of all that can be read in a folder, or (`-`) of standard input, to be read repeatedly.

    Raises InputError when there are none.
    """
    from farspan.text import open_documents

    return list(open_documents(path, notice=show.note))


def pieces(found: Iterable[Document]) -> Iterator[str]:
    """Their text, one after the other."""
    return chain.from_iterable(document.pieces() for document in found)


def chosen_methods(listed_methods: str | None) -> list[Method]:
    """Those of a list such as `"topk,infllm(top_k=4)"`; None is every method that needs no more than its name.

    Raises MethodError for one that is no method or re-reads.
    """
    from farspan import methods, readers
    from farspan.tasks.kit.expression import listed

    return [readers.parse_method(name) for name in listed(listed_methods or "") or methods.self_sufficient()]


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
        session = readers.open_reading(load_model(options), method, budget, folder)
    try:
        yield session
    finally:
        session.close()


def _is_new(name: str) -> bool:
    return not (session_folder(name) / RECORD).exists()


def _reopened(folder: Path, options: SessionOptions) -> Session:
    import farspan

    hush()
    session = farspan.open(folder, options.model, device=options.device)
    try:
        _refuse_changes(session, options)
    except BaseException:
        session.close()
        raise
    return session


def _refuse_changes(session: Session, options: SessionOptions) -> None:
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


def read_all(
    session: Session | ReaderSession, files: Sequence[str], output: OutputOptions, kept_as: str | None
) -> Reading:
    """Read what the session has not read yet; say on stderr how to go on if it is stopped by Ctrl-C."""
    from farspan.text import open_documents, unread

    before, start = session.counts.seen, time.perf_counter()
    documents = open_documents(files, notice=show.notice(output))
    try:
        with progress.showing(output.quiet) as callback:
            for document in unread(documents, session.files):
                session.read(document, progress=callback)
    except KeyboardInterrupt:
        show.note(f"stopped: session {kept_as!r} goes on from here" if kept_as else "stopped: nothing is kept")
        raise
    return Reading(session.counts.seen - before, time.perf_counter() - start)


@dataclass(frozen=True, slots=True)
class Written:
    """How the writing of an answer went: the seconds it took, and whether Ctrl-C stopped it."""

    seconds: float
    interrupted: bool


def write_answer(answer: Any, output: OutputOptions) -> Written:
    """Write an answer on stdout, piece by piece unless it is asked for whole. Ctrl-C keeps what there is of it.

    An empty one is a line without anything on stdout, so a note on stderr says so.
    """
    start, interrupted = time.perf_counter(), False
    streaming = output.stream and not output.as_json
    try:
        for piece in answer:
            if streaming:
                click.echo(piece, nl=False)
                sys.stdout.flush()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        answer.close()  # also where nobody listens any more: what it holds open goes before its session does
    if not output.as_json:
        click.echo("" if streaming else answer.text)
        if not (answer.text.strip() or interrupted or output.quiet):
            show.note("note: the model's answer is empty")
    return Written(time.perf_counter() - start, interrupted)
