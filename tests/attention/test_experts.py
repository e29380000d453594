"""Experts of a hosted mixture give what their definition gives, token by token, however transformers stores them."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.integrations.moe import use_experts_implementation

from farspan.attention import experts, processor
from farspan.attention.experts import Experts
from farspan.attention.shortcuts import hasten
from farspan.attention.twin import twin
from tests.attention.families import FAMILIES

ROOM = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
EXPERTS, INPUTS, HIDDEN = 5, 48, 24
MARKS = [
    {},
    {"has_gate": False},
    {"is_transposed": True},
    {"has_bias": True},
    {"has_bias": True, "is_transposed": True},
]


def made(draw: torch.Generator, dtype: torch.dtype, own_gate: bool = False, **marks: Any) -> Any:
    """A module of experts as transformers marks them, and nothing of what it runs as."""

    class Marked(nn.Module):
        num_experts = EXPERTS

        def __init__(self, config: Any) -> None:
            super().__init__()
            first = "gate_up_proj" if marks.get("has_gate", True) else "up_proj"
            for name, inputs, outputs in (
                (first, INPUTS, HIDDEN * (1 + ("gate" in first))),
                ("down_proj", HIDDEN, INPUTS),
            ):
                shape = (inputs, outputs) if marks.get("is_transposed") else (outputs, inputs)
                weight = torch.randn(EXPERTS, *shape, generator=draw) / inputs**0.5
                self.register_parameter(name, nn.Parameter(weight.to(dtype)))
                if marks.get("has_bias"):
                    bias = torch.randn(EXPERTS, outputs, generator=draw)
                    self.register_parameter(f"{name}_bias", nn.Parameter(bias.to(dtype)))
            self.act_fn = nn.SiLU()

        def forward(self, *_: Tensor) -> Tensor:
            raise AssertionError("what stands in for it was to run")

    if own_gate:
        Marked._apply_gate = lambda self, both: both[..., ::2].tanh() * (both[..., 1::2] + 1)  # type: ignore[attr-defined]
    return use_experts_implementation(**marks)(Marked)(SimpleNamespace(_experts_implementation="eager"))


def defined(module: Any, x_NI: Tensor, index_NK: Tensor, weight_NK: Tensor) -> Tensor:
    """Every token by itself, in float64."""
    exact = {name: value.double() for name, value in module.named_parameters()}
    orient = "io,i->o" if module.is_transposed else "oi,i->o"
    rows = []
    for x_I, index_K, weight_K in zip(x_NI.double(), index_NK.tolist(), weight_NK.double(), strict=True):
        row = torch.zeros(INPUTS, dtype=torch.float64)
        for expert, share in zip(index_K, weight_K, strict=True):
            value = x_I
            for name in ("gate_up_proj" if module.has_gate else "up_proj", "down_proj"):
                value = torch.einsum(orient, exact[name][expert], value)
                value = value + (exact[f"{name}_bias"][expert] if module.has_bias else 0)
                if name == "gate_up_proj":
                    value = module._apply_gate(value)
                elif name == "up_proj":
                    value = module.act_fn(value)
            row += share * value
        rows.append(row)
    return torch.stack(rows)


@pytest.mark.parametrize("lacking", [False, True])
@pytest.mark.parametrize("own_gate", [False, True])
@given(
    seed=st.integers(0, 10**6),
    tokens=st.sampled_from([1, 2, 7, 40]),
    sent=st.integers(1, EXPERTS),
    marks=st.sampled_from(MARKS),
    dtype=st.sampled_from(list(ROOM)),
)
@settings(deadline=None, max_examples=30)
def test_a_token_gets_the_weighted_sum_of_its_experts(
    lacking: bool, own_gate: bool, seed: int, tokens: int, sent: int, marks: dict[str, bool], dtype: torch.dtype
) -> None:
    draw = torch.Generator().manual_seed(seed)
    module = made(draw, dtype, own_gate, **marks)
    hasten(module)
    x = torch.randn(tokens, INPUTS, generator=draw).to(dtype)
    index = torch.stack([torch.randperm(EXPERTS, generator=draw)[:sent] for _ in range(tokens)])
    weight = torch.rand(tokens, sent, generator=draw).to(dtype)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "lacks_products", lambda dtype: lacking and dtype is not torch.float32)
        got, wanted = module(x, index, weight), defined(module, x, index, weight)
    assert got.dtype is dtype and got.shape == x.shape
    torch.testing.assert_close(got.double(), wanted, atol=ROOM[dtype] * sent, rtol=ROOM[dtype])


@pytest.mark.parametrize("family", ["qwen3-moe", "gpt-oss"])
def test_products_are_made_in_float32_where_the_processor_has_no_others(
    family: str, multiplied: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = twin(FAMILIES[family]().bfloat16())
    hasten(body)
    monkeypatch.setattr(processor, "lacks_products", lambda dtype: dtype is torch.bfloat16)
    module = body.model.layers[0].mlp.experts
    with torch.no_grad():
        module(torch.randn(64, 64).bfloat16(), torch.tensor([[0, 1]] * 64), torch.rand(64, 2).bfloat16())
    assert {weight.dtype for weight in multiplied} == {torch.float32}


def test_the_users_experts_stay_and_gradients_go_by_them() -> None:
    model = FAMILIES["qwen3-moe"]()
    body = twin(model)
    hasten(body)
    own, module = (which.model.layers[0].mlp.experts for which in (model, body))
    assert "forward" not in vars(own) and isinstance(module.forward, Experts)
    asked = torch.randn(3, 64), torch.tensor([[0, 1], [3, 1], [2, 0]]), torch.rand(3, 2)
    module(*asked).sum().backward()
    assert own.gate_up_proj.grad is not None
    with torch.no_grad():
        torch.testing.assert_close(module(*asked), own(*asked))


def test_hooks_on_their_activation_run() -> None:
    model = FAMILIES["qwen3-moe"]()
    own = model.model.layers[0].mlp.experts
    seen: list[Tensor] = []
    own.act_fn.register_forward_hook(lambda module, args, out: seen.append(out))
    body = twin(model)
    hasten(body)
    with torch.no_grad():
        body.model.layers[0].mlp.experts(torch.randn(1, 64), torch.tensor([[0, 1]]), torch.rand(1, 2))
    assert len(seen) == 2


@pytest.mark.parametrize("change", ["a mark", "a forward", "split over machines", "scales", "another dtype"])
def test_experts_with_what_is_not_known_here_stay_what_they_are(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = made(torch.Generator().manual_seed(1), torch.float32)
    assert Experts.stands_for(module)
    if change == "a mark":
        known = inspect.signature(use_experts_implementation).parameters.keys()
        later = SimpleNamespace(parameters=dict.fromkeys([*known, "has_scale"]))
        monkeypatch.setattr(experts.inspect, "signature", lambda _: later)
        module.has_scale = True
    elif change == "a forward":
        module.forward = lambda *_: None
    elif change == "scales":
        module.register_parameter("down_proj_scale_inv", nn.Parameter(torch.ones(EXPERTS)))
    elif change == "another dtype":
        module.down_proj = nn.Parameter(module.down_proj.to(torch.float8_e4m3fn), requires_grad=False)
    else:
        module._is_expert_parallel = True
    assert not Experts.stands_for(module)
