"""`farspan eval list`: the tasks, their presets and the suites."""

from __future__ import annotations

from dataclasses import asdict

import click

from farspan import telling
from farspan.cli import show
from farspan.cli.options import debug_option, json_option

IDEA_WIDTH = 80


@click.command("list")
@json_option
@debug_option
def command(as_json: bool) -> None:
    """List the tasks with what they ask of a model, their presets, and the suites.

    scope: how much must be found. diffusion: how hard it is to find. guess: what the best reply that we know of earns
    without the context, such as another sample's answer, always abstaining or naming the first option.
    """
    from farspan import tasks
    from farspan.evals import suites

    cards = {name: tasks.family(name).CARD for name in tasks.names()}
    ideas = {name: tasks.idea(name) for name in cards}
    if as_json:
        described = {
            name: {"idea": ideas[name], "needs": tasks.needs(name), **asdict(card)} for name, card in cards.items()
        }
        show.as_json({"tasks": described, "suites": {name: asdict(suite) for name, suite in suites.suites().items()}})
        return
    show.table(
        ("task", "scope", "diffusion", "guess", "needs", "idea"),
        [
            (
                name,
                card.scope,
                card.diffusion,
                f"{card.chance if tasks.needs(name) else tasks.get(name).guess:.2f}",
                ", ".join(tasks.needs(name)) or "-",
                telling.one_line(ideas[name], IDEA_WIDTH),
            )
            for name, card in cards.items()
        ],
    )
    click.echo()
    show.table(
        ("preset", "guess", "task"),
        [
            (name, f"{tasks.get(name).guess:.2f}", tasks.get(name).spelled_out)
            for name, (family, _) in tasks.presets().items()
            if not tasks.needs(family)
        ],
    )
    click.echo()
    show.table(("suite", "about"), [(name, suite.about) for name, suite in suites.suites().items()])
