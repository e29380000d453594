"""Norms, gated networks and attention of a hosted model give for few rows what transformers' modules give."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import LlamaConfig, PreTrainedModel
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from farspan.attention import shortcuts
from farspan.attention.adapter import HostedModel, host, run
from farspan.attention.bridge import Port
from farspan.attention.heads import Heads
from farspan.attention.layers import Layer
from farspan.attention.shortcuts import Gated, Norm, Shortcut, hasten
from farspan.attention.twin import twin
from tests.attention.families import FAMILIES, build

native_only = pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="the native kernel is built on Linux and macOS"
)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
ROOM = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def filled(module: nn.Module, draw: torch.Generator, dtype: torch.dtype) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) / parameter.shape[-1] ** 0.5)
    return module.to(dtype)


def taken(module: nn.Module) -> str:
    return type(vars(module).get("forward")).__name__


@native_only
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([1, 2, 5, 64, 65]),
    inputs=st.sampled_from([1, 7, 15, 16, 17, 64, 100, 576]),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    dtype=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=80)
def test_a_norm_is_that_of_its_definition(seed: int, rows: int, inputs: int, scale: float, dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(seed)
    module = filled(LlamaRMSNorm(inputs, eps=1e-5), draw, dtype)
    x = (torch.randn(1, rows, inputs, generator=draw) * scale).to(dtype)
    exact = x.double()
    wanted = exact / (exact.square().mean(-1, keepdim=True) + 1e-5).sqrt() * module.weight.double()
    hasten(module)
    assert taken(module) == "Norm"
    with torch.no_grad():
        got = module(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), wanted, atol=ROOM[dtype], rtol=ROOM[dtype])


@native_only
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 5),
    inputs=st.sampled_from([8, 18, 64]),
    inner=st.sampled_from([1, 15, 64, 130]),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 60.0]),
    dtype=st.sampled_from(DTYPES),
)
@settings(deadline=None, max_examples=80)
def test_a_gated_network_is_that_of_its_definition(
    seed: int, rows: int, inputs: int, inner: int, bias: bool, scale: float, dtype: torch.dtype
) -> None:
    draw = torch.Generator().manual_seed(seed)
    config = LlamaConfig(hidden_size=inputs, intermediate_size=inner, num_attention_heads=1, mlp_bias=bias)
    module = filled(LlamaMLP(config), draw, dtype)
    x = (torch.randn(1, rows, inputs, generator=draw) * scale).to(dtype)
    gate, up, down = (getattr(module, name) for name in Gated.NAMES)
    wanted = double(down, nn.functional.silu(double(gate, x.double())) * double(up, x.double()))
    hasten(module)
    assert taken(module) == "Gated"
    with torch.no_grad():
        got = module(x)
    assert got.dtype == dtype
    room = ROOM[dtype] * (1 + float(wanted.detach().abs().max()))
    torch.testing.assert_close(got.double(), wanted, atol=room, rtol=ROOM[dtype])


def double(layer: nn.Linear, x: Tensor) -> Tensor:
    return nn.functional.linear(x, layer.weight.double(), None if layer.bias is None else layer.bias.double())


@native_only
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "smollm3", "glm4", "granite", "qwen3"])
@pytest.mark.parametrize("streams", [1, 2])
def test_a_token_gives_the_logits_of_torch(
    monkeypatch: pytest.MonkeyPatch, family: str, streams: int, dtype: torch.dtype
) -> None:
    hosted = host(FAMILIES[family]().to(dtype))
    assert {"Heads", "Gated", "Norm"} & taken_in(hosted).keys()
    got = logits_of(hosted, streams)
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    wanted = logits_of(hosted, streams)
    assert got.dtype == wanted.dtype == dtype
    torch.testing.assert_close(got, wanted, atol=10 * ROOM[dtype], rtol=ROOM[dtype])


class Newest(Port):
    """Lets a token attend to itself and to a key of zeros."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, extras: dict[str, Any]) -> Tensor:
        group = q.shape[1] // k.shape[1]
        logit = (q * k.repeat_interleave(group, 1)).sum(-1, keepdim=True) * extras["scaling"]
        return v.repeat_interleave(group, 1) * logit.sigmoid()


def logits_of(hosted: HostedModel, streams: int) -> Tensor:
    with torch.no_grad():
        ports = [Newest((), 0) for _ in hosted.facts]
        ids_BT = torch.arange(3, 3 + streams).unsqueeze(1)
        logits_BTV = run(hosted._body, ids_BT, [0] * streams, ports, "all")
    assert logits_BTV is not None
    return logits_BTV


def taken_in(hosted: HostedModel) -> Counter[str]:
    return Counter(taken(module) for module in hosted._body.modules() if "forward" in vars(module))


@native_only
@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("llama", {"Layer": 3, "Heads": 3, "Gated": 3, "Norm": 7}),
        ("qwen2", {"Layer": 3, "Heads": 3, "Gated": 3, "Norm": 7}),
        ("mistral", {"Layer": 3, "Heads": 3, "Gated": 3, "Norm": 7}),
        ("smollm3", {"Layer": 4, "Heads": 4, "Gated": 4, "Norm": 9}),
        ("granite", {"Heads": 3, "Gated": 3, "Norm": 7}),
        ("qwen3", {"Gated": 3, "Norm": 13}),
        ("gemma2", {}),
        ("gpt-oss", {"Experts": 3}),
        ("qwen3-moe", {"Experts": 3, "Norm": 13}),
        ("phi3", {"Norm": 7}),
    ],
)
def test_what_each_family_takes(family: str, wanted: dict[str, int]) -> None:
    assert taken_in(host(FAMILIES[family]())) == wanted


@native_only
def test_many_rows_gradients_and_other_kernels_go_the_modules_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("norm", "gated"):
        monkeypatch.setattr(shortcuts, name, counted(getattr(shortcuts, name), name, calls))
    norm, network = LlamaRMSNorm(32), LlamaMLP(LlamaConfig(hidden_size=32, intermediate_size=48))
    for module in (norm, network):
        hasten(module)
        with torch.no_grad():
            module(torch.randn(1, 1, 32))
            module(torch.randn(1, 65, 32))
            module(torch.randn(1, 1, 32, dtype=torch.float64).float())
            monkeypatch.setenv("FARSPAN_KERNELS", "torch")
            module(torch.randn(1, 1, 32))
            monkeypatch.delenv("FARSPAN_KERNELS")
        module(torch.randn(1, 1, 32)).sum().backward()
    assert Counter(calls) == {"norm": 2, "gated": 2}
    assert norm.weight.grad is not None and network.up_proj.weight.grad is not None


def counted(own: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        calls.append(name)
        return own(*args)

    return call


def test_a_gated_network_makes_way_for_a_hook_on_a_layer() -> None:
    network = LlamaMLP(LlamaConfig(hidden_size=32, intermediate_size=48))
    hasten(network)
    x = torch.randn(1, 1, 32)
    with torch.no_grad():
        before = network(x)
        handle = network.up_proj.register_forward_hook(lambda *found: found[-1] * 2)
        torch.testing.assert_close(network(x), before * 2)
        handle.remove()
        assert torch.equal(network(x), before)


class Doubling(LlamaMLP):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Own(nn.Linear):
    """Not a plain linear layer."""


def test_what_is_not_plain_stays_as_it_is() -> None:
    config = LlamaConfig(hidden_size=32, intermediate_size=48)
    other, gelu, quantized, given = Doubling(config), LlamaMLP(config), LlamaMLP(config), LlamaRMSNorm(32)
    gelu.act_fn = nn.GELU()
    quantized.down_proj.__class__ = Own
    given.forward = lambda x: x  # type: ignore[method-assign]
    for module in (Gemma2RMSNorm(32), other, gelu, quantized, given):
        hasten(module)
        assert taken(module) not in ("Norm", "Gated")


@native_only
@pytest.mark.parametrize("wrongly", [lambda x: x.flip(-1), lambda x: x.flip(9)], ids=["differs", "fails"])
@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        (Heads, {"Gated": 3, "Norm": 7}),
        (Layer, {"Heads": 3, "Gated": 3, "Norm": 7}),
    ],
)
def test_what_fails_or_differs_when_it_is_tried_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, wrong: type[Shortcut], left: dict[str, int], wrongly: Callable[[Tensor], Tensor]
) -> None:
    own = wrong.run

    def swapped(self: Shortcut, kernel: Any, hidden_states: Tensor, **named: Any) -> Any:
        return own(self, kernel, wrongly(hidden_states), **named)

    monkeypatch.setattr(wrong, "run", swapped)
    assert taken_in(host(FAMILIES["llama"]())) == left


@native_only
@pytest.mark.parametrize("place", ["self_attn", "self_attn.k_proj", "mlp", "mlp.up_proj", "input_layernorm"])
def test_a_layer_makes_way_for_a_hook_on_a_part(place: str) -> None:
    model = FAMILIES["llama"]()
    hosted, heard = host(model), list[bool]()
    before = logits_of(hosted, 1)
    handle = model.model.layers[1].get_submodule(place).register_forward_hook(lambda *_: heard.append(True))
    torch.testing.assert_close(logits_of(hosted, 1), before, atol=1e-4, rtol=1e-4)
    assert heard == [True]
    handle.remove()
    assert torch.equal(logits_of(hosted, 1), before)


@native_only
def test_an_attention_that_clips_stays_as_it_is() -> None:
    assert "Heads" not in taken_in(host(build("Olmo", clip_qkv=1e6)))


def test_the_model_that_was_given_is_untouched() -> None:
    model: PreTrainedModel = FAMILIES["llama"]()
    before = [(type(module), "forward" in vars(module), dict(vars(module))) for module in model.modules()]
    body = twin(model)
    hasten(body)
    host(model)
    after = [(type(module), "forward" in vars(module), dict(vars(module))) for module in model.modules()]
    assert [kept[:2] for kept in before] == [kept[:2] for kept in after]
    assert all(a[2].keys() == b[2].keys() for a, b in zip(before, after, strict=True))
    assert not any(module._forward_hooks for module in model.modules())
    assert isinstance(body.model.norm.forward, Norm)
    assert body.model.norm.weight is model.model.norm.weight


@pytest.mark.parametrize(
    "network, inputs",
    [(nn.Linear(100, 1000), 100), (LlamaMLP(LlamaConfig(hidden_size=64, intermediate_size=1000)), 64)],
    ids=["linear", "gated"],
)
def test_the_same_result_for_any_number_of_threads(network: nn.Module, inputs: int) -> None:
    hasten(network)
    x = torch.randn(1, inputs)
    threads = torch.get_num_threads()
    try:
        with torch.no_grad():
            found = [network(x) for count in (1, 2, 3) if torch.set_num_threads(count) is None]
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
