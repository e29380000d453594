"""Rope turns queries and keys as each family's own modeling code turns them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.adapter import host
from farspan.attention.rope import Rope
from tests.attention.families import FAMILIES


def rotary_of(model: Any, layer_type: str | None, positions_T: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of the model's own rotary module."""
    kind = {} if layer_type is None else {"layer_type": layer_type}
    return model.base_model.rotary_emb(torch.zeros(1, 1, 1), positions_T[None], **kind)


@pytest.mark.parametrize("family", FAMILIES)
def test_rope_equals_transformers_own(family: str) -> None:
    model = FAMILIES[family]()
    hosted = host(model)
    apply = sys.modules[type(model).__module__].apply_rotary_pos_emb
    positions_T = torch.tensor([0, 1, 2, 40, 77, 127])
    generator = torch.Generator().manual_seed(1)
    for fact in hosted.facts:
        rope = hosted.rope(fact.index, 128)
        if rope is None:
            assert family == "smollm3"
            continue
        layer_type = model.config.layer_types[fact.index] if family == "gemma3" else None
        cos, sin = rotary_of(model, layer_type, positions_T)
        q = torch.randn(1, fact.q_heads, 6, fact.key_dim, generator=generator)
        k = torch.randn(1, fact.kv_heads, 6, fact.key_dim, generator=generator)
        for ours, theirs in zip((q, k), apply(q, k, cos, sin), strict=True):
            torch.testing.assert_close(rope.rotate(ours, positions_T), theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_base_is_the_configured_one(family: str) -> None:
    """That of unscaled frequencies makes them; scaled ones keep theirs at any length."""
    model = FAMILIES[family]()
    hosted, parameters = host(model), model.config.rope_parameters
    for fact in hosted.facts:
        short, long = (hosted.rope(fact.index, length) for length in (1, 1024))
        if short is None or long is None:
            continue
        own = parameters[model.config.layer_types[fact.index]] if family == "gemma3" else parameters
        assert short.base == long.base == own["rope_theta"]
        if own["rope_type"] == "default":
            frequencies = short.width // 2
            wanted_F = short.base ** -(torch.arange(frequencies) / frequencies)
            torch.testing.assert_close(short.inv_freq_F, wanted_F)


def make(interleaved: bool = False, scaling: float = 1.0) -> Rope:
    """Eight rotated dims."""
    return Rope(10000.0 ** -(torch.arange(4) / 4), scaling, interleaved)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_width_dtype_and_the_dims_that_pass(interleaved: bool, dtype: torch.dtype) -> None:
    x_HTD = torch.randn(3, 5, 12).to(dtype)
    turned = make(interleaved).rotate(x_HTD, torch.arange(5))
    assert turned.dtype == dtype and turned.shape == x_HTD.shape
    assert torch.equal(turned[..., 8:], x_HTD[..., 8:])
    assert torch.equal(turned[:, 0], x_HTD[:, 0])
    assert not torch.equal(turned[:, 1:, :8], x_HTD[:, 1:, :8])


def test_interleaving_is_a_matter_of_order() -> None:
    x_TD = torch.randn(5, 8)
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    neighbours = make(interleaved=True).rotate(x_TD, torch.arange(5))
    torch.testing.assert_close(neighbours[:, order], make().rotate(x_TD[:, order], torch.arange(5)))


def test_positions_broadcast_and_may_be_fractions() -> None:
    x_BHTD = torch.randn(2, 3, 4, 8)
    positions_BHT = torch.rand(2, 3, 4) * 100
    together = make().rotate(x_BHTD, positions_BHT)
    torch.testing.assert_close(together[1, 2], make().rotate(x_BHTD[1, 2], positions_BHT[1, 2]))
    one = make().rotate(x_BHTD, torch.tensor([7]))
    torch.testing.assert_close(one, make().rotate(x_BHTD, torch.full((4,), 7)))


def test_attention_scaling_is_on_both_sides() -> None:
    q, k, at = torch.randn(1, 8), torch.randn(1, 8), torch.tensor([3])
    plain = make().rotate(q, at) @ make().rotate(k, at).T
    scaled = make(scaling=1.5).rotate(q, at) @ make(scaling=1.5).rotate(k, at).T
    torch.testing.assert_close(scaled, 1.5**2 * plain)


@pytest.mark.parametrize("interleaved", [False, True])
def test_at_the_start_nothing_is_turned(interleaved: bool) -> None:
    x_TD = torch.randn(3, 12)
    for scaling in (1.0, 1.5):
        rope = make(interleaved, scaling)
        torch.testing.assert_close(rope.at_start(x_TD), rope.rotate(x_TD, torch.zeros(3)))
        assert rope.at_start(x_TD.bfloat16()).dtype == torch.bfloat16


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 2000), distance=st.integers(0, 500), move=st.integers(0, 2000), interleaved=st.booleans())
def test_only_distance_counts(at: int, distance: int, move: int, interleaved: bool) -> None:
    generator = torch.Generator().manual_seed(at)
    q, k = torch.randn(1, 8, generator=generator), torch.randn(1, 8, generator=generator)
    rope = make(interleaved)

    def logit(query: int, key: int) -> Tensor:
        return rope.rotate(q, torch.tensor([query])) @ rope.rotate(k, torch.tensor([key])).T

    torch.testing.assert_close(logit(at + distance, at), logit(at + distance + move, at + move), atol=2e-3, rtol=0)


def test_a_table_serves_many_tensors() -> None:
    rope, positions_T = make(), torch.arange(5)
    table = rope.table(positions_T)
    x_TD = torch.randn(5, 8)
    assert torch.equal(rope.apply(x_TD, table), rope.rotate(x_TD, positions_T))
    assert all(part.dtype == torch.float32 and part.shape == (5, 4) for part in table)
