"""Products of matrices where the processor has none in half precision: float32's, while weights stay as stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention import processor
from farspan.attention.processor import lacks_products, linear, matmul

HALF = [torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What the processor has is asked once a process: each test asks anew."""
    lacks_products.cache_clear()
    yield
    lacks_products.cache_clear()


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies float32 alone, and tiles that end within the weights of these tests."""
    monkeypatch.setattr(processor, "lacks_products", lambda dtype: dtype in HALF)
    monkeypatch.setattr(processor, "_TILE_WEIGHTS", 256)


@pytest.mark.parametrize("dtype", HALF)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 9),
    inputs=st.sampled_from([1, 15, 64, 300]),
    outputs=st.sampled_from([1, 17, 64]),
    bias=st.booleans(),
)
def test_a_product_is_that_of_its_definition_rounded_once(
    dtype: torch.dtype, seed: int, rows: int, inputs: int, outputs: int, bias: bool
) -> None:
    draw = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(count, inputs, generator=draw).to(dtype) for count in (rows, outputs))
    bias_O = torch.randn(outputs, generator=draw).to(dtype) if bias else None
    wanted = x.double() @ weight.double().T + (0 if bias_O is None else bias_O.double())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "lacks_products", lambda dtype: dtype in HALF)
        patch.setattr(processor, "_TILE_WEIGHTS", 256)
        got, right = linear(x, weight, bias_O), matmul(x, weight.T)
    assert got.dtype == dtype and got.shape == wanted.shape
    room = {torch.bfloat16: 2**-8, torch.float16: 2**-11}[dtype]
    torch.testing.assert_close(got.double(), wanted, rtol=1.01 * room, atol=1e-4 * inputs**0.5)
    torch.testing.assert_close(
        right.double(), x.double() @ weight.double().T, rtol=1.01 * room, atol=1e-2 * inputs**0.5
    )


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("dtype", HALF)
def test_weights_become_float32_a_tile_at_a_time(dtype: torch.dtype, multiplied: list[Tensor]) -> None:
    weight = torch.randn(50, 64).to(dtype)
    linear(torch.randn(2, 8, 64).to(dtype), weight, None)
    assert {tile.dtype for tile in multiplied} == {torch.float32}
    assert sum(len(tile) for tile in multiplied) == 50 and max(tile.numel() for tile in multiplied) <= 256
    assert weight.dtype is dtype


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize(("rows", "dtype"), [(1, torch.bfloat16), (3, torch.float16), (8, torch.float32)])
def test_few_rows_and_float32_are_left_to_torch(rows: int, dtype: torch.dtype, multiplied: list[Tensor]) -> None:
    linear(torch.randn(rows, 64).to(dtype), torch.randn(5, 64).to(dtype), None)
    assert [weight.dtype for weight in multiplied] == [dtype]


@pytest.mark.usefixtures("lacking")
def test_one_row_of_weights_that_lie_input_by_input_is_made_float32_too(multiplied: list[Tensor]) -> None:
    x, weight = torch.randn(1, 64).bfloat16(), torch.randn(64, 5).bfloat16()
    torch.testing.assert_close(linear(x, weight.mT, None).float(), x.float() @ weight.float(), rtol=0.01, atol=0.05)
    assert {tile.dtype for tile in multiplied} == {torch.float32}


def test_half_precision_is_lacking_where_torch_was_built_without_its_products(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype, name in zip(HALF, ("_is_mkldnn_bf16_supported", "_is_mkldnn_fp16_supported"), strict=True):
        assert lacks_products(dtype) != (torch.backends.mkldnn.is_available() and getattr(torch.ops.mkldnn, name)())
    lacks_products.cache_clear()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert [lacks_products(dtype) for dtype in (*HALF, torch.float32, torch.float64)] == [True, True, False, False]
