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


def _turned(states: torch.Tensor, by: float, speeds: torch.Tensor) -> torch.Tensor:
    """A vector of (W,) turned on by that many tokens, pair by pair as complex numbers."""
    first, second = states.chunk(2)
    turned = torch.complex(first, second) * torch.polar(torch.ones_like(speeds), speeds * by)
    return torch.cat((turned.real, turned.imag))


def test_strangers_and_the_past_are_attended_as_told() -> None:
    """Query by query: its text up to its place, the other but for its first token far away, the best of the past."""
    torch.manual_seed(0)
    batches = [[torch.randn(2, heads, 6, 8) for heads in (4, 2, 2)] for _ in range(2)]
    speeds, far, module = torch.tensor([1.0, 0.3, 0.1, 0.01]), 50, torch.nn.Module()
    module.layer_idx = 1
    past = causal.Past(best=3)
    asked, seen, alone = torch.tensor([[2, 5], [1, 4]]), ~torch.eye(2, dtype=torch.bool), torch.tensor([False, True])
    among = causal.Strangers(asked, seen, alone, far, past, speeds)
    outs = [causal.attend(module, *batch, None, 0.5, among)[0] for batch in batches]
    kept: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {0: [], 1: []}
    for (query, key, value), out in zip(batches, outs, strict=True):
        away = [
            [[(_turned(key[b, g, t], -t, speeds), value[b, g, t]) for t in range(6)] for b in (0, 1)] for g in (0, 1)
        ]
        for text, head in ((text, head) for text in (0, 1) for head in range(4)):
            group = head // 2
            for at in asked[text].tolist():
                turned = _turned(query[text, head, at], far - at, speeds)
                pairs = [(query[text, head, at] @ key[text, group, t], value[text, group, t]) for t in range(at + 1)]
                pairs += [(turned @ there, what) for there, what in away[group][1 - text][1:]]
                old = sorted(((turned @ there, what) for there, what in kept[group]), key=lambda pair: -pair[0])
                pairs += [] if alone[text] else old[:3]
                weights = (torch.stack([score for score, _ in pairs]) * 0.5).softmax(0)
                want = (weights[:, None] * torch.stack([what for _, what in pairs])).sum(0)
                torch.testing.assert_close(out[text, at, head], want, atol=1e-5, rtol=1e-4)
        for group in (0, 1):
            kept[group] += [pair for text in away[group] for pair in text]


def test_heads_that_share_keys_are_grouped_as_in_the_fused_kernel() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 300, 8) for heads in (4, 2, 2))
    out, _ = causal.attend(torch.nn.Module(), query, key, value, None, 0.5)
    want = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=0.5, enable_gqa=True
    )
    torch.testing.assert_close(out, want.transpose(1, 2), atol=1e-5, rtol=1e-4)


def test_the_past_is_kept_once_a_key_head_and_comes_back_as_it_was() -> None:
    torch.manual_seed(0)
    past, again = causal.Past(batches=2, best=2), causal.Past(batches=2, best=2)
    for _ in range(3):
        past.remember(1, torch.randn(2, 5, 8), torch.randn(2, 5, 8))
    again.remember(2, torch.randn(2, 5, 8), torch.randn(2, 5, 8))
    again.load_state_dict(past.state_dict())
    assert list(again.state_dict()) == [1] and len(again.state_dict()[1]) == 2
    query = torch.randn(1, 4, 3, 8)
    for one, other in zip(past.look_alikes(1, query), again.look_alikes(1, query), strict=True):
        assert torch.equal(one, other) and one.shape == (1, 4, 3, 2, 8)
