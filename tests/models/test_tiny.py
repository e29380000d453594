"""The bundled model measures methods: it answers in its window, fails beyond it, and exact retrieval rescues it.

Questions are counted in many contexts; the seeds are fixed. docs/results has the figures for more cells.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farspan.engine import Model, load
from farspan.evals import evaluate

WINDOW = 1024


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load()


def correct(model: Model, task: str, method: str, tokens: int, contexts: int, folder: Path) -> float:
    """The mean score of questions, sixteen in each context."""
    outcome, results = evaluate(
        model,
        (f"{task}(turns=16)",),
        folder,
        methods=(method,),
        lengths=(tokens,),
        questions=16 * contexts,
        baselines=False,
        seed=1,
    )
    rows = results.rows
    assert outcome.failed == 0
    assert len(rows) == 16 * contexts
    return sum(row["score"] for row in rows) / len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["needle", "key_value"])
def test_it_finds_facts_in_its_window(tiny: Model, task: str, tmp_path: Path) -> None:
    assert tiny.window == WINDOW
    assert correct(tiny, task, "full", WINDOW, 7, tmp_path) >= 0.98


@pytest.mark.slow
def test_full_attention_fails_at_four_windows(tiny: Model, tmp_path: Path) -> None:
    assert correct(tiny, "needle", "full", 4 * WINDOW, 2, tmp_path) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("windows", "contexts"), [(4, 7), (16, 3)])
def test_exact_retrieval_rescues_it(tiny: Model, windows: int, contexts: int, tmp_path: Path) -> None:
    assert correct(tiny, "needle", "topk", windows * WINDOW, contexts, tmp_path) >= 0.95


def test_it_is_small_and_has_a_card() -> None:
    folder = Path(load().tokenizer.name_or_path)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "farspan train tiny" in card
