"""`farspan read`: read files into a session that is kept."""

from __future__ import annotations

import click

from farspan import telling
from farspan.cli import opening, show, work
from farspan.cli.options import OutputOptions, SessionOptions, file_option, output_options, session_options
from farspan.errors import InputError, UsageError


@click.command("read")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@file_option("Without it, a pipe is read.")
@session_options
@output_options
def command(paths: tuple[str, ...], files: tuple[str, ...], options: SessionOptions, output: OutputOptions) -> None:
    """Read files and folders into the session of --session.

    Reading is committed chunk by chunk: stopped, even killed, the same command goes on where it was. What the session
    has read already is not read again.
    """
    if not options.session:
        raise UsageError(
            "read needs a session to keep what it reads", fix="name one: farspan read book.txt --session book"
        )
    sources = work.inputs_or_pipe([*paths, *files], output)
    if not sources:
        raise InputError("there is nothing to read", fix="name a file or folder, or pipe a text in")
    with opening.opened(options) as session:
        reading = work.read_all(session, sources, output, options.session)
        method = str(session.method)
        if output.as_json:
            timing = reading.timing(0.0)
            del timing["answer_s"]
            show.as_json(
                {"session": options.session, "context": show.context(method, session.counts), "timing": timing}
            )
        elif not output.quiet:
            show.note(f"read {reading.tokens:,} tokens in {reading.seconds:.1f} s into session {options.session!r}")
            show.note(telling.account(method, session.counts))
