"""The report: a page that is whole, alone and safe, says what failed, and is the same for the same rows."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.evals import extra, report, summary
from farspan.evals.report import boxes, canvas, charts, colours, curves, names, wrong
from tests.evals.fake_rows import BUDGET, CONFIG, METHODS, NATIVE, TASKS, failed_row, fake_row, fake_rows

VOID = {"meta", "input", "br", "wbr", "img", "hr", "link"}
EMPTY_SVG = {"path", "use", "rect", "line"}


class Page(HTMLParser):
    """Reads a page, and holds it to be well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag} names an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        self.inside.setdefault(self.open[-1] if self.open else "", []).append(data)

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a whole run."""
    made = tmp_path_factory.mktemp("run")
    report.write(made, fake_rows(3), CONFIG)
    return made


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(html: str) -> Page:
    return Page(html)


def small(tmp_path: Path, rows: list[dict[str, Any]], config: dict[str, Any] | None = None) -> Page:
    """The page of a few rows."""
    report.write(tmp_path, rows, config or {})
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_page_asks_nothing_of_any_other_address(html: str, shown: Page) -> None:
    for name in ("src", "href", "action", "data", "poster", "srcset"):
        assert all(value.startswith("#") for value in shown.values(name)), name
    for code in [*shown.inside["style"], *shown.inside["script"], *shown.values("style")]:
        assert "//" not in re.sub(r"^\s*//.*$", "", code, flags=re.MULTILINE)
        assert "@import" not in code
        assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", code))
    assert re.findall(r"https?:", html) == ["https:"], "the one in the command line, as text"
    assert "default-src 'none'" in " ".join(shown.values("content"))


def test_what_a_model_says_is_text(html: str, shown: Page) -> None:
    assert [tag for tag, _ in shown.tags].count("script") == 1
    assert "<script>alert(&#39;reply&#39;)" not in html and "&lt;script&gt;alert(&#39;reply&#39;)" in html
    assert any("<script>alert('reply')</script>" in text for text in shown.texts)
    assert any("<script>alert('reason')</script>" in title for title in shown.values("title"))
    assert not any(tag == "b" for tag, _ in shown.tags)


def test_identifiers_are_unique_and_links_lead_somewhere(shown: Page) -> None:
    identifiers = shown.values("id")
    assert len(set(identifiers)) == len(identifiers)
    targets = [value[1:] for value in [*shown.values("href"), *shown.values("xlink:href")]]
    assert targets and set(targets) <= set(identifiers)


def test_the_head_says_what_was_measured(shown: Page) -> None:
    text = " ".join(" ".join(shown.texts).split())
    assert "farspan-tiny" in text
    assert "5 methods on 6 tasks at 512 to 16K tokens" in text
    asked = [row for row in fake_rows(3) if row["context"] == "full"]
    assert f"{len(asked):,}" in text
    failed = sum(bool(row["error"]) for row in fake_rows(3))
    assert f"Failed, with no score: {failed} of" in text


def test_a_failed_cell_says_so_and_why(shown: Page) -> None:
    failed = [attrs for _, attrs in shown.tags if "failed" in (attrs.get("class") or "").split() and attrs.get("title")]
    assert len([attrs for attrs in failed if "BudgetError: 2MiB holds" in str(attrs["title"])]) >= 2
    assert all("failed" in str(attrs["title"]) for attrs in failed)


def test_a_cell_that_failed_is_never_zero(tmp_path: Path) -> None:
    rows = [
        fake_row(turn=0),
        failed_row("no memory", method="topk"),
        failed_row("no memory", method="topk", length=2048, sample="s2"),
    ]
    page_ = small(tmp_path, [*rows, fake_row(length=2048, sample="s2")])
    markdown = (tmp_path / "report.md").read_text()
    assert "| topk | failed | failed |" in re.sub(r"[^\x00-\x7f] ", "", markdown)
    assert not any(
        "s0" in value.split()
        for tag, attrs in page_.tags
        if tag == "span" and (value := attrs.get("class") or "") and "box" in value
    )


def test_every_task_method_and_length_has_a_box(shown: Page) -> None:
    titles = shown.values("title")
    for method in METHODS:
        for length in ("512", "1K", "2K", "4K", "8K", "16K"):
            assert len([title for title in titles if title.startswith(f"{method}, {length}: ")]) >= 10
        assert any(title.startswith(f"{method}, files as long as they are: ") for title in titles)


def test_figures_stand_as_files_and_are_linked(folder: Path) -> None:
    linked = re.findall(r"\]\((figures/[^)]*\.svg)\)", (folder / "report.md").read_text(encoding="utf-8"))
    files = sorted(str(path.relative_to(folder)) for path in (folder / "figures").iterdir())
    assert sorted(linked) == files and len(files) >= 15
    for file in files:
        text = (folder / file).read_text(encoding="utf-8")
        assert text.rstrip().endswith("</svg>") and "<dc:date>" not in text


def test_the_same_rows_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    paths = report.write(tmp_path, fake_rows(3), CONFIG)
    assert len(paths) == len([path for path in folder.rglob("*") if path.is_file()])
    for path in paths:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name


def test_markdown_tables_are_whole(folder: Path) -> None:
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    for line, following in pairwise(lines):
        if line.startswith("|") and following.startswith("|"):
            columns = [len(re.findall(r"(?<!\\)\|", one)) for one in (line, following)]
            assert columns[0] == columns[1], line
    text = "\n".join(lines)
    assert "<script>" not in text and "</b>" not in text
    for title in ("Overview", "Tasks", "Against full attention", "Baselines", "Memory and time", "Replies", "Notes"):
        assert f"\n## {title}" in text


def test_the_overview_mean_is_over_tasks_that_all_answered() -> None:
    rows = [
        *(
            fake_row(task=task, sample=task, method=method, score=score)
            for task, method, score in [
                ("a", "full", 1.0),
                ("a", "topk", 0.0),
                ("b", "full", 0.5),
                ("b", "topk", 1.0),
                ("c", "full", 0.0),
            ]
        ),
        failed_row("lost", task="c", sample="c", method="topk"),
    ]
    cells = summary.summarise(rows)
    found = {cell["method"]: (cell["score"], cell["tasks"]) for cell in curves.means(cells, names.names_of(cells, {}))}
    assert found == {"full": (0.75, 2), "topk": (0.5, 2)}


def test_the_depth_map_counts_by_hand() -> None:
    places = [(0.05, 1.0), (0.15, 0.0), (0.5, 1.0), (1.0, 1.0)]
    rows = [fake_row(sample=str(number), depth=depth, score=score) for number, (depth, score) in enumerate(places)]
    rows.append(failed_row("lost", sample="x", depth=0.7))
    cells = summary.summarise(rows)
    (found,) = boxes.depth_maps(rows, "multi_request", names.names_of(cells, {}))
    assert [(band, box.text, box.count) for band, (box,) in found.bands] == [
        ("0\u201320", "50", 2),
        ("20\u201340", "", 0),
        ("40\u201360", "100", 1),
        ("60\u201380", "\u00d7", 0),
        ("80\u2013100", "100", 1),
    ]


def test_turns_are_shown_beside_each_other() -> None:
    rows = [
        fake_row(turn=turn, mode=mode, score=float(mode == "multi_request" or turn == 0))
        for turn in range(3)
        for mode in ("multi_request", "multi_turn")
    ]
    cells = summary.summarise(rows)
    panels = curves.turn_panels(rows, names.names_of(cells, {}))
    scores = {title: [(point.x, point.score) for point in lines[0].points] for title, lines in panels.items()}
    assert scores == {
        "each question by itself": [(1, 1.0), (2, 1.0), (3, 1.0)],
        "as one conversation": [(1, 1.0), (2, 0.0), (3, 0.0)],
    }
    single = [row for row in rows if row["mode"] == "multi_request"]
    assert curves.turn_panels(single, names.names_of(cells, {})) == {}


def test_presets_and_knobs_give_short_names() -> None:
    preset = str(tasks.get("niah_multikey_3", turns=4))
    cells = [fake_row(task=task) for task in (preset, TASKS[1], TASKS[0], NATIVE)]
    found = names.names_of(cells, {"plan": {"tasks": ["niah_multikey_3", "needle", "needle(needles=8)", NATIVE]}})
    assert [str(title) for title in found.tasks.values()] == [
        "niah_multikey_3",
        "needle",
        "needle (needles=8)",
        "folder (path=bench.jsonl)",
    ]
    assert next(iter(found.tasks)) == preset and found.tasks[preset].labels


def test_budgets_are_named_where_they_differ() -> None:
    cells = [fake_row(), fake_row(method="topk"), fake_row(method="topk", budget="8MiB")]
    found = names.names_of(cells, {"plan": {"methods": ["topk", "full"]}})
    assert list(found.subjects.values()) == [f"full @ {BUDGET}", f"topk @ {BUDGET}", "topk @ 8MiB"]


def test_a_single_answer_of_an_endpoint_makes_a_report(tmp_path: Path) -> None:
    page_ = small(tmp_path, [fake_row(counts={}, sourced=None, context_tokens=0, depth=None)], {"model": "served"})
    text = " ".join(page_.texts)
    assert "served" in text and "Where the tokens went" not in text
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["needle-length.svg"]


def test_odd_names_and_replies_do_no_harm(tmp_path: Path) -> None:
    odd = "$x_1$ | <i> & `a`\n](javascript:1)"
    rows = [
        fake_row(task=odd, sample=str(length), method=method, length=length, reply="", score=0.0, gold=[], error=None)
        for length in (512, 1024)
        for method in ("full", f"m({odd})")
    ]
    page_ = small(tmp_path, [*rows, failed_row(odd, method="other")], {"model": odd, "machine": {"system": odd}})
    assert not any(tag == "i" for tag, _ in page_.tags)
    assert "](javascript" not in (tmp_path / "report.md").read_text()
    assert any("(nothing)" in text for text in page_.texts)


def test_when_everything_failed_the_report_says_so(tmp_path: Path) -> None:
    page_ = small(tmp_path, [failed_row("no memory", turn=turn) for turn in range(3)])
    text = " ".join(page_.texts)
    assert "Failed, with no score: 3 of 3 questions" in text and "no memory" in text


def test_without_rows_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows"):
        report.write(tmp_path, [], {})


def test_what_is_missing_can_be_installed() -> None:
    with pytest.raises(UsageError, match=r"needs nosuchlibrary.*pip install 'farspan\[eval\]'"):
        extra.need("nosuchlibrary.part")


def test_templates_are_shipped() -> None:
    kept = {file.name for file in resources.files("farspan.evals.report").iterdir()}
    assert {"page.html.j2", "page.css", "page.js", "report.md.j2"} <= kept


def test_wrong_answers_are_the_longest_of_each_method() -> None:
    rows = [
        fake_row(score=0.0, length=length, sample=str(length), method=method, reply="x" * 999)
        for length in (512, 1024)
        for method in ("full", "topk")
    ]
    found = wrong.wrong_answers([*rows, fake_row(method="fine")], names.names_of(rows, {}))
    assert [(one.method, one.where) for one in found] == [("full", "1K, depth 50%"), ("topk", "1K, depth 50%")]
    assert len(found[0].reply) < 300


@pytest.mark.parametrize("scale", [colours.light_scale(), colours.dark_scale()])
def test_scores_can_be_read_on_every_colour(scale: list[str]) -> None:
    assert len(scale) == colours.STEPS + 1 == len(set(scale))
    assert all(colours.contrast(colours.text_on(colour), colour) >= 4.5 for colour in scale)
    assert [colours.step(score) for score in (0.0, 0.049, 0.05, 0.5, 0.999, 1.0)] == [0, 0, 1, 10, 19, 20]


def test_contrast_is_that_of_wcag() -> None:
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_lines_stand_out_and_no_two_methods_look_alike() -> None:
    assert all(colours.contrast(colour, colours.PAPER) >= 3 for colour in colours.LIGHT_LINES)
    assert all(colours.contrast(colour, "#181c21") >= 3 for colour in colours.DARK_LINES)
    looks = [(colours.line_colour(number), colours.mark(number), colours.glyph(number)) for number in range(64)]
    assert len(set(looks)) == 64
    assert all(one[1] != other[1] for one, other in combinations(looks[:8], 2))


def test_a_figure_in_the_page_takes_the_pages_colours() -> None:
    line = canvas.Line(0, "full", [canvas.Point(x, 0.5, 0.4, 0.6, f"tip <{x}>") for x in (512, 1024)], [2048])
    document = charts.by_length("figure", "Title", [line], 1024)
    inlined = canvas.inline(document, 'a "label"')
    assert "tip &lt;512&gt;" in document and inlined.count("<title>") == 3
    assert inlined.startswith('<svg role="img" aria-label="a &quot;label&quot;" class="figure" viewBox=')
    assert "var(--m0)" in inlined and "var(--ink)" in inlined and "http" not in inlined
    known = {*colours.LIGHT_LINES, colours.INK, colours.MUTED, colours.GRID, colours.PAPER}
    assert known.isdisjoint(re.findall("#[0-9a-f]{6}", inlined))


def test_rows_can_be_hidden_by_task_and_method(shown: Page) -> None:
    assert {int(number) for number in shown.values("data-m")} == set(range(len(METHODS)))
    assert len(set(shown.values("data-task"))) == len(TASKS) + 2
