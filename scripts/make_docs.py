"""Writes what is generated in the documentation: docs/cli.md from `--help`, and the tables of methods and tasks.

Run by `make docs`; `--check` only says whether a file is out of date, and is what a test calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from farspan import readers, tasks
from farspan.cli.app import app
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
SETS = "farspan.tasks.sets."
BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"


def cli_page() -> str:
    """docs/cli.md: the help of every command."""
    parts = ["# The command line", "", "Written by `make docs` from `farspan --help`.", ""]
    for context in walk(app, "farspan", None):
        parts += [f"## {context.command_path}", "", "```text", context.get_help(), "```", ""]
    return "\n".join(parts)


def walk(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """A context for a command and for each of those below it."""
    context = click.Context(
        command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH, **command.context_settings
    )
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from walk(found, below, context)


JOINING = """Methods are joined by `+` where they choose different parts: `infllm(top_k=32)+int8`. Brackets behind a
method give it to some layers only, numbered as in Python: `full[:2]+infllm` is full attention in the first two layers
and InfLLM in all others; `[0:4, -1]` names the first four and the last. A method without brackets yields, with all its
parts, in layers where one with brackets sets the same part; two with brackets that do so in one layer are an error.
A full layer grows with the text and drops nothing: what the budget does not hold of it goes to disk."""


def methods_page() -> str:
    """docs/methods.md: what every method and reader does, its paper, keywords and parts."""
    parts = ["# The methods", "", "Written by `make docs` from the methods themselves.", "", JOINING, ""]
    for card in readers.cards():
        keywords = ", ".join(f"`{key}={value!r}`" for key, value in card.defaults.items()) or "none"
        parts += [f"## {card.name}", ""]
        parts += [line for paragraph in (card.idea, *card.details) for line in (paragraph, "")]
        parts += [f"- What does not fit: **{card.overflow}**", f"- Paper: {card.paper}", f"- Keywords: {keywords}"]
        parts += [f"- Needs: {need}" for need in card.needs]
        parts += [f"- {axis}: `{part}`" for axis, part in card.parts.items()]
        parts.append("")
    return "\n".join(parts)


def tasks_page() -> str:
    """docs/tasks.md: what every family asks, whose it is, its knobs and presets."""
    parts = ["# The tasks", "", "Written by `make docs` from the tasks themselves. How they are run and scored:"]
    parts += [
        "[evaluation.md](evaluation.md). *guess*: what the best reply that we know of earns without the context.",
        "",
    ]
    for title, wanted in (("Generated", False), ("Sets of files", True)):
        parts += [f"## {title}", "", "| task | asks for | scope | diffusion | guess |", "|---|---|---|---|---|"]
        chosen = [name for name in tasks.names() if (tasks.family(name).__name__.startswith(SETS)) is wanted]
        for name in chosen:
            card = tasks.family(name).CARD
            guess = card.chance if tasks.needs(name) else tasks.get(name).guess
            parts.append(f"| `{name}` | {tasks.idea(name)} | {card.scope} | {card.diffusion} | {guess:.2f} |")
        parts.append("")
        for name in chosen:
            parts += _task_lines(name)
    return "\n".join(parts)


def _task_lines(name: str) -> Iterator[str]:
    card = tasks.family(name).CARD
    knobs = ", ".join(f"`{knob}`" if needed else f"`{knob}={default!r}`" for knob, needed, default in tasks.knobs(name))
    yield from (f"### {name}", "", f"- Source: {card.source}", f"- Knobs: {knobs or 'none'}")
    if card.modes != (MULTI_REQUEST, MULTI_TURN):
        yield f"- Modes: {', '.join(card.modes)}"
    for preset in card.presets:
        guess = f"; guess {card.guess[preset]:.2f}" if preset in card.guess else ""
        yield f"- `{preset}` is `{tasks.get(preset).spelled_out if not tasks.needs(name) else preset}`{guess}"
    yield ""


def methods_table() -> str:
    """The table in the README."""
    rows = ["| method | what does not fit | idea |", "|---|---|---|"]
    for card in readers.cards():
        rows.append(f"| `{card.name}` | **{card.overflow}** | {card.idea} |")
    return "\n".join(rows)


def readme(text: str) -> str:
    """The README with its table of methods renewed."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{methods_table()}\n{END}{after}"


def pages() -> dict[Path, str]:
    """Every generated file with what it should hold."""
    front = ROOT / "README.md"
    return {
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "methods.md": methods_page(),
        ROOT / "docs" / "tasks.md": tasks_page(),
        front: readme(front.read_text(encoding="utf-8")),
    }


def main(check: bool) -> int:
    """Write the pages, or with `check` name those that are out of date; return the exit code."""
    old = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{path.relative_to(ROOT)} {'is out of date: run make docs' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
