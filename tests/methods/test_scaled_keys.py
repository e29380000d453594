"""Search where keys that are met are multiplied by the rope's scaling, and only in the dims that it turns.

Stored keys are un-rotated and so not scaled yet; the slow references score them as they are met, at position 0.

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, n blocks, B tokens in a block, D key width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.queries import Queries
from farspan.attention.rope import Rope
from farspan.engine import Model
from farspan.methods.parts.searching import Search
from farspan.methods.parts.select.best_bounds import BestBounds
from tests.attention.families import build, rope
from tests.methods.brute import BestKeys, InfLLM, RetroLM, Rule, brutes, reference
from tests.methods.brute_events import EMLLM, Record, logits
from tests.methods.test_lookups import ActQKV, LongHeads, WithMiddle
from tests.methods.test_recall import HiP, Quest, searched
from tests.methods.test_shadowkv import ShadowKV
from tests.methods.test_squeezed import Squeezed
from tests.tiny import VOCABULARY, different_ids, stream, tokenizer

WINDOW, TOKENS, SCALING = 48, 144, 2.0
PLACES = "n_init=3, n_local=20"


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48; half of a head is turned, and scaled."""
    yarn = rope("yarn", original_max_position_embeddings=12, attention_factor=SCALING, partial_rotary_factor=0.5)
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": WINDOW, "num_hidden_layers": 2, "eos_token_id": 3}
    return Model(build("Glm4", head_dim=16, attention_bias=True, rope_parameters=yarn, **sizes), tokenizer(), "half")


def test_the_model_is_one_that_tells(model: Model) -> None:
    own = model.hosted.rope(0, 1)
    assert own is not None
    assert (own.attention_scaling, own.width, model.hosted.facts[0].key_dim) == (SCALING, 8, 16)


CASES: dict[str, Callable[[], Rule]] = {
    f"topk({PLACES}, block=5, top_k=4, when=both)": lambda: BestKeys(WINDOW, 3, 20, 5, 4),
    f"quest({PLACES}, page_size=5, when=both, dense_layers=0, token_budget=20)": lambda: Quest(WINDOW, 3, 20, 5, 4),
    "hip(sink_token_size=3, sliding_window_size=20, chunk_size=2, second_stage_k=4)": lambda: HiP(
        WINDOW, 3, 20, 2, 2, capped=False
    ),
    f"infllm({PLACES}, block=5, top_k=4, exc_block=8)": lambda: InfLLM(WINDOW, 3, 20, 5, 4),
    f"retrolm({PLACES}, page=5, top_k=4, chunk=8)": lambda: RetroLM(WINDOW, 3, 20, 5, 4),
    f"actqkv({PLACES}, block=5, exc_block=8, min_k=1, warmup_step=3, top_k=4)": lambda: ActQKV(WINDOW, 3, 20, 5, 4),
    f"shadowkv({PLACES}, chunk_size=5, sparse_budget=20, outlier_chunk=2, rank=1000, when=both)": lambda: ShadowKV(
        WINDOW, 3, 20, 5, 4
    ),
    "longheads(window_size=5, atten_length=30)": lambda: LongHeads(WINDOW, 5, 5, 5, 3, capped=False),
    "lm_infinite(n_global=3, n_local=21, top_k=5, when=both)": lambda: WithMiddle(3, 21, 5),
}


@pytest.mark.parametrize("kernels", ["native", "torch"])
@pytest.mark.parametrize("method", CASES)
def test_what_is_fetched_is_what_the_scaled_keys_say(
    model: Model, method: str, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", kernels)
    ids = different_ids(TOKENS, seed=3)
    wanted = reference(model.hosted, CASES[method], ids, 8)
    with model.session(method, chunk=8) as session:
        torch.testing.assert_close(session.logits(ids), wanted, atol=5e-5, rtol=0)


@pytest.mark.parametrize(("more", "coarse"), [("", 0), (", coarse_clusters=0.17", 2)])
def test_shares_of_clusters_are_those_of_scaled_keys(model: Model, more: str, coarse: int) -> None:
    """Also the threshold, which the last queries of what was read set."""
    ids = different_ids(TOKENS, seed=3)
    shared: dict[str, Any] = {"record": {}, "coarse_record": {}, "coarse": coarse}
    rules = [Squeezed(WINDOW, 3, 20, 12, 0, True, layer=fact.index, **shared) for fact in model.hosted.facts]
    wanted = stream(model.hosted, brutes(model.hosted, rules), ids, 8)
    with model.session(f"squeezed({PLACES}, segment=12, clusters=0.25, when=both{more})", chunk=8) as session:
        torch.testing.assert_close(session.logits(ids), wanted, atol=5e-5, rtol=0)


def test_events_are_found_by_scaled_keys(model: Model) -> None:
    ids, record = different_ids(TOKENS, seed=3), Record(20, 0.5)
    rules = [EMLLM(WINDOW, 3, 20, 1, 0, record=record, shortest=2, longest=7) for _ in model.hosted.facts]
    wanted = logits(model.hosted, rules, ids, 8)
    method = (
        f"em_llm({PLACES}, n_mem=20, exc_block=8, min_block_size=2, max_block_size=7, surprisal_threshold_gamma=0.5)"
    )
    with model.session(method, chunk=8) as session:
        torch.testing.assert_close(session.logits(ids), wanted, atol=5e-5, rtol=0)


def seeking(k_GnBD: Tensor, q_HTD: Tensor, turning: Rope, at: int) -> tuple[Search, Tensor]:
    """Queries at position `at` that look for these keys, and what they score them at position 0: `[H * T, n, B]`."""
    at_T = torch.full((q_HTD.shape[1],), at)
    search = replace(searched(k_GnBD, q_HTD), queries=Queries(q_HTD, turning, turning.table(at_T)))
    k_GnBD, q_HTD = turning.rotate(k_GnBD, torch.zeros(1)), turning.rotate(q_HTD, at_T)
    logits = torch.einsum("grtd,gnbd->grtnb", q_HTD.unflatten(0, (len(k_GnBD), -1)), k_GnBD)
    return search, logits.flatten(0, 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scaling=st.floats(0.5, 3), at=st.integers(0, 50), interleaved=st.booleans())
def test_scans_give_the_logits_of_turned_keys_and_bounds_are_above_them(
    seed: int, scaling: float, at: int, interleaved: bool
) -> None:
    torch.manual_seed(seed)
    turning = Rope(torch.tensor([1.0, 0.3]), scaling, interleaved)
    search, wanted_NnB = seeking(torch.randn(2, 5, 4, 8), torch.randn(4, 3, 8), turning, at)
    ((_, found_NnB),) = search.products(5)
    torch.testing.assert_close(found_NnB, wanted_NnB, atol=2e-5, rtol=1e-5)
    ((_, bound_Nn),) = BestBounds(8)._scored(search)
    assert (wanted_NnB.amax(-1) <= bound_Nn + 1e-4).all()
