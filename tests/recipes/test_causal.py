"""Training attention equals the fused kernel; strangers that nobody sees change nothing; strangers that are seen do."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import LlamaForCausalLM

from farspan.recipes import causal
from farspan.recipes.shapes import Shape

SHAPE = Shape(width=64, head=32, mlp=32, fast=8, plan=({}, {}))


@pytest.fixture(scope="module")
def small() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(SHAPE.config(50)).eval()


def _strangers(past: causal.Past, *, seen: bool, alone: bool = True) -> causal.Strangers:
    places = torch.tensor([[3, 250, 299], [0, 10, 280]])
    others = ~torch.eye(2, dtype=torch.bool) & torch.tensor(seen)
    return causal.Strangers(places, others, torch.tensor([alone, alone]), 400, past, torch.tensor(SHAPE.speeds))


def _run(model: LlamaForCausalLM, strangers: causal.Strangers | None = None) -> torch.Tensor:
    ids = torch.arange(600).view(2, 300) * 7 % 50
    trained = copy.deepcopy(model)
    trained.set_attn_implementation(causal.register())
    with torch.no_grad():
        return trained.model(input_ids=ids, use_cache=False, strangers=strangers).last_hidden_state


def test_equals_the_fused_kernel(small: LlamaForCausalLM) -> None:
    ids = torch.arange(600).view(2, 300) * 7 % 50
    with torch.no_grad():
        want = small.model(input_ids=ids, use_cache=False).last_hidden_state
    torch.testing.assert_close(_run(small), want, atol=1e-5, rtol=1e-4)


def test_unseen_strangers_change_nothing(small: LlamaForCausalLM) -> None:
    torch.testing.assert_close(_run(small, _strangers(causal.Past(), seen=False)), _run(small), atol=1e-5, rtol=1e-4)


def test_seen_strangers_change_asked_places_only(small: LlamaForCausalLM) -> None:
    plain, among = _run(small), _run(small, _strangers(causal.Past(), seen=True))
    changed = ((plain - among).abs().amax(-1) > 1e-4).nonzero().tolist()
    assert [0, 299] in changed
    assert set(map(tuple, changed)) <= {(0, 3), (0, 250), (0, 299), (1, 0), (1, 10), (1, 280)}


def test_the_past_gives_its_best_keys() -> None:
    past = causal.Past(batches=2, best=1)
    query = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert past.look_alikes(1, query)[0].shape == (1, 1, 1, 0, 2)
    for scale in (9.0, 1.0, 3.0):
        past.remember(1, torch.tensor([[[scale, 0.0], [0.0, 5.0]]]), torch.tensor([[[scale, 7.0], [0.0, 0.0]]]))
    keys, values = past.look_alikes(1, query)
    assert keys.flatten().tolist() == [3.0, 0.0]
    assert values.flatten().tolist() == [3.0, 7.0]
