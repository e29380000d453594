"""The report of a run: a page to look at, the same as Markdown, the figures and the summary as files.

Everything is drawn from the rows and the configuration; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from farspan.errors import InputError
from farspan.evals import summary
from farspan.evals.extra import need
from farspan.evals.summary import Row

__all__ = ["write"]

_NEEDED = ("scipy", "matplotlib", "jinja2")


def write(folder: Path, rows: Sequence[Row], config: Mapping[str, Any]) -> list[Path]:
    """Write report.html, report.md, figures/*.svg, summary.csv and summary.json into a folder; returns their paths.

    Raises UsageError when a library of the extra `eval` is missing, and InputError when there are no rows.
    """
    for library in _NEEDED:
        need(library)
    from farspan.evals.report import page
    from farspan.evals.report.content import Content
    from farspan.evals.report.names import names_of

    kept = summary.latest(rows)
    if not kept:
        raise InputError("there are no rows to report on", fix="measure something first, with farspan eval run")
    cells = summary.summarise(kept)
    paths = summary.write(folder, cells)
    content = Content(kept, cells, config, names_of(cells, config))
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    written = [(figures / f"{figure.name}.svg", figure.document) for figure in content.figures]
    written += [(folder / "report.md", page.markdown(content)), (folder / "report.html", page.html(content))]
    for path, text in written:
        path.write_text(text, encoding="utf-8", newline="\n")
    return [*paths, *(path for path, _ in written)]
