"""`farspan methods`: what a session can do with what does not fit."""

from __future__ import annotations

import click

from farspan import telling
from farspan.cli import show
from farspan.cli.groups import DefaultGroup
from farspan.cli.options import json_option

IDEA_WIDTH = 88


@click.group("methods", cls=DefaultGroup, default="list")
def command() -> None:
    """List the methods, and show what one does."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every method (the default)."""
    from farspan import readers

    cards = readers.cards()
    if as_json:
        show.as_json({"methods": [card.as_dict() for card in cards]})
        return
    show.table(
        ("method", "what does not fit", "idea"),
        [(card.name, card.overflow, telling.one_line(card.idea, IDEA_WIDTH)) for card in cards],
    )


@command.command("show")
@click.argument("name")
@json_option
def show_(name: str, as_json: bool) -> None:
    """Show one method: what it does, its paper, its keywords with their defaults (None follows the model)."""
    from farspan import readers

    card = readers.describe(name)
    if as_json:
        show.as_json(card.as_dict())
        return
    for paragraph in (f"{card.name}: {card.idea}", *card.details):
        click.echo(f"{paragraph}\n")
    click.echo(f"paper: {card.paper}")
    click.echo(f"what does not fit: {card.overflow}")
    for need in card.needs:
        click.echo(f"needs: {need}")
    for title, values in (("keywords", card.defaults), ("parts", card.parts)):
        for number, (key, value) in enumerate(values.items()):
            head = f"{title}: " if number == 0 else " " * (len(title) + 2)
            click.echo(f"{head}{key}={value if title == 'parts' else repr(value)}")
