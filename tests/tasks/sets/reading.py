"""What the tests of adapters share: writing rows to files, reading them as a task does, and what must hold of all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from farspan import tasks
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space

_TOKEN = re.compile(r"\w+|[^\w\s]")
SPACE = Space(length=10**6, count=lambda text: len(_TOKEN.findall(text)))
PROSE = " ".join(
    f"In year {year} the {year % 7}th ship left for the {year % 11}th port with salt." for year in range(90)
)


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as JSON lines; the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def samples(name: str, path: str, **knobs: Any) -> list[Sample]:
    """All samples, fitted as a run fits them, after seeing that right replies earn 1 and empty ones and echoes 0."""
    task = tasks.get(name, path=path, **knobs)
    assert not task.fits_a_length and tasks.needs(name) == ["path"]
    held = list(task.samples(1000, seed=0, space=SPACE))
    assert held and held == [task.sample(number, seed=0, space=SPACE) for number in range(len(held))]
    for sample in held:
        _sound(sample)
    return held


def shown(sample: Sample, turn: int = 0) -> list[str]:
    """The evidence of a turn, as text."""
    return [sample.document[start:end] for start, end in sample.spans(sample.turns[turn])]


def _sound(sample: Sample) -> None:
    assert sample.turns and sample.document.strip() and json.loads(json.dumps(sample.as_dict()))
    for turn in sample.turns:
        assert turn.query.strip() and turn.gold and turn.max_new_tokens > 0
        assert turn.query not in sample.document
        assert score(turn.answer, turn).value == 1, (turn.answer, turn.gold, turn.scorer)
        assert score("", turn).null
        assert score(sample.document, turn).value < 0.35, turn
    for turn in range(len(sample.turns)):
        assert all(passage.strip() for passage in shown(sample, turn))
