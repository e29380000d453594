"""A session with full attention is transformers' own model, for every family that can be hosted."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from farspan.engine import Model
from farspan.types import Budget
from tests.attention.families import FAMILIES, SLIDING, VOCABULARY, WINDOW
from tests.tiny import eager, least_budget, tokenizer

TOKENS = 110
LONG = WINDOW + 90
CHANGING = {"llama-dynamic", "phi3-longrope"}
"""Their frequencies change with the length, so a text that is read in chunks beyond the window differs by design."""


@cache
def ids(count: int) -> list[int]:
    """A text of random tokens."""
    generator = torch.Generator().manual_seed(7)
    return torch.randint(3, VOCABULARY, (count,), generator=generator).tolist()


@cache
def family_model(family: str) -> Model:
    """One family's tiny model, hosted once."""
    return Model(FAMILIES[family](), tokenizer(), family)


def logits(model: Model, text: list[int], method: str, chunk: int, budget: Budget | None = None) -> Tensor:
    with model.session(method, budget, chunk=chunk) as session:
        return session.logits(text)


@pytest.mark.parametrize("family", FAMILIES)
def test_full_attention_is_eager_attention(family: str) -> None:
    wanted = eager(FAMILIES[family](), ids(TOKENS))
    for chunk in (1, 7, 64, TOKENS):
        found = logits(family_model(family), ids(TOKENS), "full", chunk)
        assert (found - wanted).abs().max() <= 1e-5, f"chunks of {chunk}"


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - CHANGING))
def test_full_attention_from_disk_is_eager_attention(family: str) -> None:
    """Past the window, on the least budget there can be, so that blocks lie on disk."""
    model = family_model(family)
    budget = Budget(least_budget(lambda budget: model.session("full", budget, chunk=16)))
    with model.session("full", budget, chunk=16) as session:
        found = session.logits(ids(LONG))
        counts = session.counts
    assert (found - eager(FAMILIES[family](), ids(LONG))).abs().max() <= 2e-5
    assert counts.exact and counts.seen == LONG
    slides = all(fact.sliding_window for fact in model.hosted.facts)
    assert slides or (counts.stored > 0 and counts.dropped == 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_generation_is_generate(family: str) -> None:
    theirs: Any = FAMILIES[family]()
    theirs.set_attn_implementation("eager")
    prompt, count = ids(30), 40
    wanted = theirs.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=count, do_sample=False
    )[0, len(prompt) :].tolist()
    with family_model(family).session("full", chunk=16) as session:
        answer = session.generate(prompt, max_new_tokens=count)
        assert answer.ids == wanted
        assert answer.usage.completion_tokens == len(wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16(family: str) -> None:
    exact = eager(FAMILIES[family](), ids(TOKENS))
    rounded = eager(FAMILIES[family]().to(torch.bfloat16), ids(TOKENS)).float()
    model = Model(FAMILIES[family]().to(torch.bfloat16), tokenizer(), family)
    found = logits(model, ids(TOKENS), "full", 32)
    assert found.dtype == torch.bfloat16 and found.isfinite().all()
    # rounding moves the logits; ours may not be further from the exact ones than transformers' own are
    assert (found.float() - exact).norm() <= 1.25 * (rounded - exact).norm()
    assert logits(model, ids(LONG), "infllm", 32).isfinite().all()


@pytest.mark.parametrize("method", ["full", "streaming(start_size=2, recent_size=5)", "infllm(n_local=8)", "topk"])
@pytest.mark.parametrize("chunk", [1, 16, 50])
def test_a_model_of_sliding_windows_is_itself_with_any_method(method: str, chunk: int) -> None:
    model = family_model("mistral")
    wanted = eager(FAMILIES["mistral"](), ids(LONG))
    with model.session(method, chunk=chunk) as session:
        assert (session.logits(ids(LONG)) - wanted).abs().max() <= 1e-5
        counts = session.counts
    fact = model.hosted.facts[0]
    token = len(model.hosted.facts) * fact.kv_heads * (fact.key_dim + fact.value_dim) * 4
    assert counts.kv_bytes["device"] <= (SLIDING + chunk) * token
    assert counts.kv_bytes["disk"] == 0
    assert counts.exact


@pytest.mark.parametrize("family", ["gemma3", "gpt-oss", "qwen2-sliding"])
def test_sliding_layers_keep_their_window_beside_full_ones(family: str) -> None:
    """The method governs the full layers alone."""
    model = family_model(family)
    fact = model.hosted.facts[0]
    token = fact.kv_heads * (fact.key_dim + fact.value_dim) * 4
    full = sum(fact.sliding_window is None for fact in model.hosted.facts)
    slides = len(model.hosted.facts) - full
    with model.session("streaming(start_size=2, recent_size=30)", chunk=8) as session:
        session.read(ids(LONG))
        assert session.counts.kv_bytes["device"] <= token * (full * (32 + 8) + slides * (SLIDING + 8))
        assert session.counts.dropped >= LONG - 40


@pytest.mark.parametrize("family", ["gemma3", "gpt-oss", "qwen2-sliding"])
@pytest.mark.parametrize("method", ["topk", "infllm", "full"])
def test_a_fork_may_leave_the_window_that_its_parent_is_in(family: str, method: str) -> None:
    """All that the window held becomes blocks at once, in the fork alone."""
    with family_model(family).session(method, chunk=16) as session:
        session.read(ids(WINDOW - 5))
        with session.fork() as fork:
            assert fork.read(ids(40)).seen == WINDOW + 35
        assert session.counts.seen == WINDOW - 5
