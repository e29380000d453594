"""Writing the report out: the page and the Markdown file, from templates that are shipped beside this module."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from farspan import __version__
from farspan.evals.report.colours import LIGHT_LINES, glyph, light_scale, style
from farspan.evals.report.content import Content
from farspan.evals.report.notes import BARS, NOTES

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_MARKDOWN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|", "*": "\\*", "`": "\\`", "\n": " "})


def html(content: Content) -> str:
    """The report as one page that asks nothing of any other address."""
    page = _environment(escaped=True).get_template("page.html.j2")
    return page.render(report=content, style=f"{style()}\n{_text('page.css')}", script=_text("page.js"), **_SHARED)


def markdown(content: Content) -> str:
    """The report as Markdown, with the figures as files beside it."""
    text = _environment(escaped=False).get_template("report.md.j2").render(report=content, **_SHARED)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


_SHARED = {
    "sign": glyph,
    "colours": len(LIGHT_LINES),
    "steps": len(light_scale()),
    "notes": NOTES,
    "version": __version__,
    "bars": BARS,
}


@cache
def _environment(*, escaped: bool) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = lambda text: str(text).translate(_MARKDOWN).replace("](", "]\\(")
    environment.filters["breakable"] = _breakable
    environment.filters["code"] = _code
    return environment


def _breakable(name: str) -> Markup:
    """An expression that may be broken after its brackets and commas, and nowhere else."""
    from markupsafe import Markup

    return Markup("<wbr>").join(re.split(r"(?<=[(,])", name))


def _code(text: str) -> Markup:
    """A sentence with what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _text(name: str) -> str:
    return resources.files("farspan.evals.report").joinpath(name).read_text(encoding="utf-8")
