"""`farspan train`: run a training recipe."""

from __future__ import annotations

from pathlib import Path

import click

from farspan.cli import show
from farspan.cli.opening import hush
from farspan.cli.options import debug_option
from farspan.errors import UsageError


@click.command("train")
@click.argument("recipe")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder that the trained model is written to.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe. May be repeated."
)
@debug_option
def command(recipe: str, out: Path, settings: tuple[str, ...]) -> None:
    """Train by RECIPE; tiny made the bundled model."""
    overrides = dict(_setting(text) for text in settings)
    from farspan import recipes

    hush()
    recipes.run(recipe, out=out, overrides=overrides, log=show.note)


def _setting(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"--set {text!r} has no value", fix="write for example --set hours=0.5")
    return key, value
