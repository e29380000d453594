"""The bundled model measures methods: it answers in its window, fails beyond it, and exact retrieval rescues it.

Questions are counted in many contexts; the seeds are fixed. docs/benchmarks.md has the figures for more cells.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farspan.engine import Model, load
from farspan.evals import recall_rows
from farspan.types import Budget

WINDOW = 1024


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load()


def correct(model: Model, task: str, method: str, tokens: int, contexts: int) -> float:
    """The share of questions that are answered, eight in each context."""
    budget = Budget("64MiB")
    rows = list(recall_rows(model, task, method, tokens, contexts=contexts, questions=8, budget=budget, seed=1))
    assert len(rows) == 8 * contexts
    return sum(row.correct for row in rows) / len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["needle", "key_value"])
def test_it_finds_facts_in_its_window(tiny: Model, task: str) -> None:
    assert tiny.window == WINDOW
    assert correct(tiny, task, "full", WINDOW, contexts=25) >= 0.98


@pytest.mark.slow
def test_full_attention_fails_at_four_windows(tiny: Model) -> None:
    assert correct(tiny, "needle", "full", 4 * WINDOW, contexts=13) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("windows", "contexts"), [(4, 13), (16, 13)])
def test_exact_retrieval_rescues_it(tiny: Model, windows: int, contexts: int) -> None:
    assert correct(tiny, "needle", "topk", windows * WINDOW, contexts=contexts) >= 0.95


def test_it_is_small_and_has_a_card() -> None:
    folder = Path(load().tokenizer.name_or_path)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20_000_000
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "farspan train tiny" in card
