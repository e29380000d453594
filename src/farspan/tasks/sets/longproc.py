"""LongProc: long procedures that are to be written out, for path traversal, theory-of-mind tracking and countdown.

A folder holds `path_traversal_0.5k.json` and so on, itself or in a folder of the kind's name. A `prompts.yaml` beside
the file words the prompt, which is split after its last long part; without one the prompt is worded here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from farspan.errors import InputError, UsageError, nearest
from farspan.tasks.files.rows import Row, rows, text
from farspan.tasks.files.texts import text_of
from farspan.tasks.files.whole import whole, wholes
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="all",
    diffusion="computed",
    version=2,
    source="LongProc (Ye et al. 2025); the files are the user's",
)
_CHARS_PER_TOKEN = 2
_FIELD = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_STEP = re.compile(r"- Step \d+:")
_QUESTION = re.compile(r"route from (.+) to (.+?)\.?$")

Parts = Mapping[str, str]
"""What stands in the places of a prompt."""


def read(path: str | Path, *, kind: str = "path_traversal", level: str = "0.5k", examples: int = 2) -> Iterator[Sample]:
    """The samples of a file, or of the file of that `kind` and `level` (`0.5k`, `2k`, `8k`) in a folder.

    examples: how many other problems are shown solved before a countdown problem, whose own row holds its solution.
    Raises UsageError for an unknown kind, InputError for a file, row or field that is not as described.
    """
    if kind not in _KINDS:
        raise UsageError(f"longproc has no kind {kind!r}", fix=nearest(kind, _KINDS))
    file = _file(Path(path), kind, level)
    long_part, own, make = _KINDS[kind]
    before, after = _split(file.parent / "prompts.yaml", long_part, own)
    held = list(rows(str(file)))
    for number, row in enumerate(held, 1):
        others = [held[(number + step) % len(held)] for step in range(min(examples, len(held) - 1))]
        parts, turn = make(row, others)
        context, query = _filled(before, parts, row), _filled(after, parts, row).strip()
        yield Sample((Segment(context + "\n\n"),), (replace(turn, query=query),), {"row": number, "kind": kind})


def _path(row: Row, _: Sequence[Row]) -> tuple[Parts, Turn]:
    found = _QUESTION.search(text(row, "question_nl").strip())
    if found is None:
        raise row.wrong("field 'question_nl' names no route from a city to another")
    route = tuple(line for line in text(row, "answer_nl").splitlines() if line.strip())
    parts = {"city_context": text(row, "context_nl").strip(), "src_city": found[1], "dst_city": found[2]}
    answer = "\n".join(("<Route>", *route, "</Route>"))
    return parts, Turn("", answer, route, "ordered_lines", {"tag": "Route"})


def _beliefs(row: Row, _: Sequence[Row]) -> tuple[Parts, Turn]:
    trace = [line for line in text(row, "solution").splitlines() if line.strip()]
    steps = tuple(line for line in trace if _STEP.match(line))
    if not steps:
        raise row.wrong("field 'solution' has no line '- Step 0: ...'")
    parts = {"story": text(row, "story").strip(), "question": text(row, "question").strip()}
    return parts, Turn("", "\n".join(trace), steps, "ordered_lines", {"counted": "Step"})


def _countdown(row: Row, others: Sequence[Row]) -> tuple[Parts, Turn]:
    numbers, target = wholes(row, "nums"), whole(row, "target")
    solved = "\n\n".join(_example(other) for other in others)
    parts = {"nums": str(numbers), "target": str(target), "demonstration": solved}
    solution = text(row, "solution_text").strip()
    options = {"numbers": numbers, "target": target}
    # The search comes before the solution, and is digits and marks: two characters a token.
    room = len(text(row, "demonstration")) // _CHARS_PER_TOKEN
    answer = f"<Solution>\n{solution}\n</Solution>"
    return parts, Turn("", answer, (solution,), "equations", options, max_new_tokens=room)


def _example(row: Row) -> str:
    stated = f"# Example\nNumbers: {wholes(row, 'nums')}\nTarget: {whole(row, 'target')}"
    return f"{stated}\n\n{text(row, 'demonstration')}"


_KINDS: Mapping[str, tuple[str, str, Callable[[Row, Sequence[Row]], tuple[Parts, Turn]]]] = {
    "path_traversal": (
        "city_context",
        "{city_context}\n\nWrite the route from {src_city} to {dst_city} between <Route> and </Route>, a step on each "
        "line: From <city>, take a <vehicle> to <city>.",
        _path,
    ),
    "tom_tracking": (
        "story",
        "{story}\n\n{question} For every step write a line: - Step <number>: (<what changed>) {{<where all is>}}. Then "
        "write: Final Answer: <place>",
        _beliefs,
    ),
    "countdown": (
        "demonstration",
        "{demonstration}\n\nUse each number once with + - * / to reach the target; every result is a whole number from "
        "1 to 2000. Write the three equations between <Solution> and </Solution>.\nNumbers: {nums}\nTarget: {target}",
        _countdown,
    ),
}
"""By kind: the part of the prompt after which the context ends, a prompt of our own, and what a row becomes."""


def _file(path: Path, kind: str, level: str) -> Path:
    name = f"{kind}_{level}.json"
    tried = [path / name, path / kind / name] if path.is_dir() else [path]
    for one in tried:
        if one.is_file():
            return one
    raise InputError(f"there is no file {' or '.join(map(str, tried))}", fix="give LongProc's data folder or a file")


def _split(path: Path, long_part: str, own: str) -> tuple[str, str]:
    """The prompt up to its long part, which is the context, and what follows."""
    prompt = _prompt(path) if path.is_file() else own
    before, mark, after = prompt.partition("{" + long_part + "}")
    if not mark:
        raise InputError(f"{path} has no place for {long_part!r}", fix="give the file as it is published, or none")
    return before + mark, after


def _prompt(path: Path) -> str:
    import yaml  # type: ignore[import-untyped]

    try:
        held = yaml.safe_load(text_of(path))
        return str(held["USER_PROMPT"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path} has no text USER_PROMPT", fix="give the file as it is published, or none") from error


def _filled(template: str, parts: Parts, row: Row) -> str:
    """The template with its places filled, and double braces single."""

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        if found[1] not in parts:
            raise row.wrong(f"the prompt asks for {found[1]!r}, which is not known of a row")
        return parts[found[1]]

    return _FIELD.sub(put, template)
