"""The linear layers of a hosted model give torch's products: of few rows by the compiled kernel, of many by torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from farspan.attention import linear
from farspan.attention.linear import Linear
from farspan.attention.native.library import Kernel
from farspan.attention.native.product import Matrix
from farspan.attention.shortcuts import hasten
from farspan.attention.twin import twin
from tests.attention.families import FAMILIES

native_only = pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="the native kernel is built on Linux and macOS"
)


@native_only
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 5),
    inputs=st.sampled_from([1, 15, 16, 63, 64, 65, 130, 576]),
    outputs=st.sampled_from([1, 63, 64, 65, 200]),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    leading=st.sampled_from([(), (1,)]),
)
@settings(deadline=None, max_examples=80)
def test_the_product_is_that_of_its_definition(
    seed: int, rows: int, inputs: int, outputs: int, bias: bool, dtype: torch.dtype, leading: tuple[int, ...]
) -> None:
    draw = torch.Generator().manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw))
    x = torch.randn(*leading, rows, inputs, generator=draw).to(dtype)
    wanted = x.double() @ layer.weight.double().T + (layer.bias.double() if bias else 0)
    hasten(layer)
    assert type(layer) is Linear
    with torch.no_grad():
        got = layer(x)
    assert got.dtype == dtype and got.shape == wanted.shape
    room = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(got.double(), wanted, atol=room * inputs**0.5, rtol=room)


@native_only
def test_it_is_the_kernel_that_computes_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    own = linear.products

    def counted(kernel: Kernel, x: Tensor, matrices: Sequence[Matrix]) -> list[Tensor]:
        calls.append(x.numel() // 32)
        return own(kernel, x, matrices)

    monkeypatch.setattr(linear, "products", counted)
    layer = nn.Linear(32, 8)
    hasten(layer)
    with torch.no_grad():
        layer(torch.randn(1, 1, 32))
        layer(torch.randn(1, 9, 32))
        monkeypatch.setenv("FARSPAN_KERNELS", "torch")
        layer(torch.randn(1, 1, 32))
    layer(torch.randn(1, 1, 32)).sum().backward()
    assert calls == [1]
    assert layer.weight.grad is not None


def test_only_plain_layers_of_the_twin_change() -> None:
    class Quantized(nn.Linear):
        pass

    model = FAMILIES["llama"]()
    model.model.layers[0].mlp.up_proj.__class__ = Quantized
    body = twin(model)
    hasten(body)
    assert type(model.model.layers[0].mlp.down_proj) is nn.Linear
    assert type(body.model.layers[0].mlp.down_proj) is Linear
    assert type(body.model.layers[0].mlp.up_proj) is Quantized
    assert body.lm_head.weight is model.lm_head.weight
