"""`farspan ask`: read files, answer one question from them, and say where the answer came from."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from farspan.cli import opening, progress, show, work
from farspan.cli.kinds import WORDS
from farspan.cli.options import (
    OutputOptions,
    SamplingOptions,
    SessionOptions,
    file_option,
    highlight_option,
    output_options,
    sampling_options,
    session_options,
)
from farspan.errors import UsageError


@click.command("ask", context_settings={"allow_extra_args": True})
@click.argument("question", type=WORDS)
@file_option("Without it, a pipe is read, unless the session has read something already.")
@session_options
@sampling_options
@output_options
@highlight_option
def command(
    question: str,
    files: tuple[str, ...],
    highlight: tuple[str, ...],
    options: SessionOptions,
    sampling: SamplingOptions,
    output: OutputOptions,
) -> None:
    """Read files of any length and answer QUESTION from them.

    The answer is written on stdout; its sources and an account of what was seen, kept, fetched and dropped go to
    stderr. With --session, what was read is kept: the next question needs no reading.
    """
    _check_words([question, *click.get_current_context().args], files)
    how = sampling.as_arguments()
    sources = work.inputs_or_pipe(files, output, asked=options.session)
    with opening.opened(options, begins=bool(sources)) as session:
        reading = work.read_all(session, sources, output, options.session)
        if not session.files:
            show.notice(output)("note: no text was read, so the model answers from what it has learnt")
        steering: dict[str, Any] = {"highlight": list(highlight)} if highlight else {}
        with progress.waiting(output.quiet, "reading the question"):
            answer = session.ask(question, **steering, **how)
        written = work.write_answer(answer, output)
        if output.as_json:
            timing = reading.timing(written.seconds)
            show.as_json(_members(session, answer, timing) | ({"interrupted": True} if written.interrupted else {}))
        else:
            show.footer(answer, str(session.method), output)
        if written.interrupted:
            raise KeyboardInterrupt


def _check_words(words: list[str], files: tuple[str, ...]) -> None:
    """Refuse files that stand where no file is expected, and a question that is not in quotes."""
    named = [word for word in words if os.path.exists(word)]
    asked = shlex.join([" ".join(word for word in words if word not in named) or "your question"])
    if named and (len(words) > 1 or not files):
        reads = shlex.join(part for file in named for part in ("-f", file))
        raise UsageError(f"{named[0]} is a file, and stands where the question does", fix=f"farspan {asked} {reads}")
    if len(words) > 1:
        raise UsageError(f"the question has {len(words)} parts", fix=f"put it in quotes: farspan {asked}")


def _members(session: Any, answer: Any, timing: dict[str, float]) -> dict[str, Any]:
    return {
        "text": answer.text,
        "sources": [source.as_dict() for source in answer.sources],
        "usage": answer.usage.as_dict(),
        "context": show.context(str(session.method), answer.counts),
        "timing": timing,
    }
