"""The command line. One file per command in `commands`; torch is imported only by the commands that run a model."""

from __future__ import annotations


def main() -> None:
    """Run the `farspan` command."""
    from farspan.cli.app import app
    from farspan.process import keep_freed_memory, open_missing_streams, write_names_as_they_are

    open_missing_streams()
    write_names_as_they_are()
    keep_freed_memory()
    app()
