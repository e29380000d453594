"""`farspan chat`: a conversation that stays in its session."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import click

from farspan import telling
from farspan.cli import app, opening, progress, show, work
from farspan.cli.options import (
    OutputOptions,
    SamplingOptions,
    SessionOptions,
    chat_output_options,
    file_option,
    sampling_options,
    session_options,
)
from farspan.errors import UsageError

HELP = """/status       what was seen, kept, fetched and dropped so far
/read FILE    read a file or folder into the session
/sources      where the last answer came from
/save PATH    save the session in a folder
/fork NAME    keep a copy of the session under a name; this chat goes on as it was
/help         these lines
/quit         end (Ctrl-D does too; Ctrl-C stops an answer)"""


@click.command("chat")
@file_option()
@session_options
@sampling_options
@chat_output_options
def command(files: tuple[str, ...], options: SessionOptions, sampling: SamplingOptions, output: OutputOptions) -> None:
    """Talk with the model about what it has read.

    Every turn stays in the session; /help lists what can be typed besides messages. They can be piped in, one a line.
    """
    how = sampling.as_arguments()
    sources = work.inputs(files)
    with opening.opened(options) as session:
        work.read_all(session, sources, output, options.session)
        Chat(session, options, how, output, click.get_current_context().obj.debug).run()


@dataclass(slots=True)
class Chat:
    """The loop over lines. An error ends a turn, never the chat."""

    session: Any
    options: SessionOptions
    how: dict[str, Any]
    output: OutputOptions
    debug: bool = False
    sources: list[Any] = field(default_factory=list)

    def run(self) -> None:
        """Answer lines until /quit or the end of input."""
        cast(TextIOWrapper, sys.stdin).reconfigure(errors="surrogateescape")  # what is not UTF-8 ends a turn only
        if sys.stdin.isatty() and not self.output.quiet:
            show.note("type a message, or /help")
        while (line := _next_line()) is not None:
            try:
                if not self.turn(line.strip()):
                    return
            except BrokenPipeError:
                raise
            except Exception as error:
                app.report(error, debug=self.debug)

    def turn(self, line: str) -> bool:
        """Do what one line says; False when the chat is over."""
        if line.startswith("/"):
            return self.slash(*line[1:].split(None, 1))
        if line:
            self.answer(line)
        return True

    def answer(self, message: str) -> None:
        """Answer a message; Ctrl-C stops the answer and keeps what there is of it."""
        with progress.waiting(self.output.quiet, "reading the message"):
            reply = self.session.chat(message, **self.how)
        if work.write_answer(reply, self.output).interrupted:
            show.note("stopped")
        self.sources = list(reply.sources)
        if self.output.usage:
            show.note(show.usage(reply.usage))

    def slash(self, name: str = "help", argument: str = "") -> bool:
        """Do a command that begins with a slash; False for /quit."""
        if name == "quit":
            return False
        if name == "status":
            show.note(telling.account(str(self.session.method), self.session.counts))
        elif name == "sources":
            for line in telling.source_lines(self.sources) or ["no answer has drawn on a text yet"]:
                show.note(line)
        elif name == "help":
            show.note(HELP)
        elif name in ("read", "save", "fork") and not argument:
            raise UsageError(f"/{name} needs a name or path", fix=f"/{name} followed by one")
        elif name == "read":
            work.read_all(self.session, work.inputs([os.path.expanduser(argument)]), self.output, self.options.session)
        elif name == "save":
            self.session.save(Path(argument).expanduser())
        elif name == "fork":
            self.session.fork().save(opening.session_folder(argument))
        else:
            raise UsageError(f"there is no command /{name}", fix="/help lists them")
        return True


def _next_line() -> str | None:
    """The next line typed or piped in; None at the end, and for Ctrl-C at an empty prompt."""
    if not sys.stdin.isatty():
        return sys.stdin.readline() or None
    import readline  # noqa: F401  (gives `input` its line editing)

    try:
        return input("> ")
    except EOFError:
        return None
