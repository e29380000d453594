"""Command groups with a default, so that `farspan "question"` is `farspan ask "question"`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

import click

from farspan.errors import UsageError

_OWN_OPTIONS = ("-h", "--help", "--version")
_AS_WORDS = {"help": "--help", "version": "--version"}


class DefaultGroup(click.Group):
    """A group whose command `default` runs when only options are given, or nothing (`farspan methods`)."""

    def __init__(self, *args: Any, default: str = "list", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.with_default(args))

    def with_default(self, args: list[str]) -> list[str]:
        """The arguments with the default command written out where none is named."""
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            return [self.default, *args]
        return args

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise UsageError(f"{ctx.command_path} has no command {name!r}", fix=f"{hint}known: {', '.join(known)}")
        return super().resolve_command(ctx, args)


class CommandFolder(DefaultGroup):
    """The group of all commands in a package: file `x.py` holds the click command `x` under the name `command`."""

    def __init__(self, *args: Any, package: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        folder = importlib.import_module(self.package).__path__
        return sorted(module.name for module in pkgutil.iter_modules(folder))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = importlib.import_module(f"{self.package}.{cmd_name}").command
        return found

    def with_default(self, args: list[str]) -> list[str]:
        """Whatever names no command is a question; a lone word that is nearly a command is taken for a slip."""
        if not args:
            return ["--help"]
        first, *rest = args
        known = self.list_commands(click.Context(self))
        if first in known or first in _OWN_OPTIONS:
            return args
        if first in _AS_WORDS and not rest:
            return [_AS_WORDS[first]]
        if first == "help" and rest[0] in known:
            return [*rest, "--help"]
        close = difflib.get_close_matches(first.lower(), [*known, *_AS_WORDS], n=1, cutoff=0.8)
        if close and first not in _AS_WORDS and (not rest or not rest[0].startswith("-")):
            raise UsageError(
                f"there is no command {first!r}; did you mean {close[0]!r}?",
                fix=f"farspan {close[0]}, or to ask it as a question: farspan {self.default} {first!r}",
            )
        return [self.default, *args]
