"""What the commands that run a model share: find what to read, read it into a session, write an answer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from farspan.cli import progress, show
from farspan.cli.opening import session_folder
from farspan.cli.options import OutputOptions
from farspan.cli.piped import STDIN, piped

if TYPE_CHECKING:
    from farspan import Model, Session
    from farspan.evals.fitting import Fitting
    from farspan.methods import Method
    from farspan.readers.kit.session import ReaderSession
    from farspan.text import Document


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
    """The files to read, looked at before a model is loaded; pipes are left alone, since they can be read only once.

    Raises InputError for a file that is missing, empty or binary.
    """
    from farspan.text import Document

    for name in files:
        if name != STDIN and (os.path.isfile(name) or not os.path.exists(name)):
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


def fitting_methods(model: Model, chosen: Sequence[Method], budget: str) -> Fitting:
    """Those that can run on this model and budget; a line on stderr for every other. Raises the error of the first one
    when none can.
    """
    from farspan.evals.fitting import fitting
    from farspan.evals.subjects.local import LocalSubject

    found = fitting(LocalSubject(model), [str(method) for method in chosen], budget)
    found.tell(show.note)
    return found


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
