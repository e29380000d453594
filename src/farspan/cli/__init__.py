"""The command line. One file per command in `commands`; torch is imported only by the commands that run a model."""

from __future__ import annotations


def main() -> None:
    """Run the `farspan` command."""
    from farspan.cli.app import app
    from farspan.process import keep_freed_memory, open_missing_streams

    open_missing_streams()
    keep_freed_memory()
    app()
