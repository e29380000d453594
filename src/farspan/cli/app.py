"""The `farspan` command itself: finds its commands, and turns what goes wrong into one message and an exit code.

0 done    1 failure while running, or nobody reads the output any more    2 usage
3 model, input or session not available
4 budget impossible or storage full    130 stopped by Ctrl-C
"""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import Any

import click

from farspan import __version__
from farspan.cli.explain import explain
from farspan.cli.groups import CommandFolder

INTERRUPTED = 130


@dataclass(slots=True)
class State:
    """What one run of the program shares with its error handler."""

    debug: bool = False


class App(CommandFolder):
    """The root group. Its `main` never lets a traceback out unless `--debug` asks for it."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line and exit with the code that the module's docstring lists."""
        state = State()
        extra["standalone_mode"] = False
        try:
            result = super().main(*args, obj=state, **extra)
        except (click.Abort, KeyboardInterrupt) as stop:
            ended = stop.__cause__  # click takes the end of any file for a user who wants to stop
            sys.exit(report(ended, debug=state.debug) if isinstance(ended, EOFError) else INTERRUPTED)
        except Exception as error:
            sys.exit(report(error, debug=state.debug))
        sys.exit(result if isinstance(result, int) else 0)


def report(error: Exception, *, debug: bool = False) -> int:
    """Write an error on stderr as `error: what` and `fix: what to do`; return its exit code."""
    if debug:
        traceback.print_exception(error)
    message, fix, code = explain(error)
    click.echo(f"error: {message}", err=True)
    if fix:
        click.echo(f"fix: {fix}", err=True)
    return code


app = App(
    name="farspan",
    package="farspan.cli.commands",
    default="ask",
    context_settings={"auto_envvar_prefix": "FARSPAN", "help_option_names": ["-h", "--help"]},
    help="""Read text of any length with an open-weight language model on a fixed memory budget, and ask about it.

    farspan "question" -f book.txt is short for farspan ask "question" -f book.txt.
    """,
    epilog="Every option can come from the environment: ask --top-p is FARSPAN_ASK_TOP_P, and the options that "
    "many commands share have a short name too, such as FARSPAN_MODEL, FARSPAN_METHOD and FARSPAN_BUDGET.",
)
click.version_option(__version__, prog_name="farspan", message="%(prog)s %(version)s")(app)
