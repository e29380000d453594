"""What queries score encoded keys, against decoded keys and a product in double precision.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, M queries of a KV head.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.cache.columns import BlockShape, Rows
from farspan.methods.parts.axes import Codec
from farspan.methods.parts.codec.low_rank import LowRankKeys
from farspan.methods.parts.codec.pruned_channels import PrunedChannels
from farspan.methods.parts.codec.quantised import QuantisedBlocks
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NewBlocks
from tests.methods.test_codec import normal

CODECS = {
    "raw": RawBlocks(),
    "int8": QuantisedBlocks(8),
    "int8 in small groups": QuantisedBlocks(8, 3),
    "int4": QuantisedBlocks(4),
    "int4 in small groups": QuantisedBlocks(4, 5),
    "think": PrunedChannels(),
    "low_rank": LowRankKeys(),
}


def encoded(codec: Codec, k_GNBD: Tensor) -> tuple[Rows, Decoding]:
    """The rows of these keys, which lie in a larger memory, and how they are decoded."""
    heads, _, tokens, width = k_GNBD.shape
    shape = BlockShape(heads, tokens, width, width, k_GNBD.dtype)
    notes = {column.name: normal(column.heads, *column.shape, seed=3).square() for column in codec.notes(shape)}
    if isinstance(codec, LowRankKeys):
        notes = {name: torch.zeros_like(note) for name, note in notes.items()}
        notes |= codec.before_blocks(notes, NewBlocks(k_GNBD, 0, 0, (k_GNBD.flatten(1, 2),)))
    around = torch.cat((k_GNBD[:, :1], k_GNBD, k_GNBD[:, :1]), dim=1)
    rows = codec.encode(around, around, Surroundings(notes, None))
    return {name: row[:, 1:-1] for name, row in rows.items()}, Decoding(shape, torch.arange(heads), notes)


def by_decoding(codec: Codec, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
    """Decoded in single precision, whatever the dtype, and multiplied in double."""
    exact = by._replace(shape=replace(by.shape, dtype=torch.float32))
    return torch.einsum("gmd,gnbd->gmnb", q_GMD.double(), codec.keys(rows, exact).double())


@pytest.mark.parametrize("kernels", ["native", "torch"])
@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=30, deadline=None)
@given(
    heads=st.integers(1, 3),
    queries=st.integers(1, 21),
    blocks=st.integers(1, 3),
    tokens=st.integers(1, 12),
    width=st.integers(2, 75),
    offset=st.sampled_from([0.0, -3.0, 200.0]),
    seed=st.integers(0, 99),
)
def test_products_are_those_with_decoded_keys(
    name: str,
    kernels: str,
    heads: int,
    queries: int,
    blocks: int,
    tokens: int,
    width: int,
    offset: float,
    seed: int,
) -> None:
    codec = CODECS[name]
    q_GMD = normal(heads, queries, width, seed=seed)
    k_GNBD = normal(heads, blocks, tokens, width, seed=seed + 1) + offset * normal(width, seed=seed + 2)
    rows, by = encoded(codec, k_GNBD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", kernels)
        found = codec.products(q_GMD, rows, by)
    assert found.dtype is torch.float32
    most = float(q_GMD.norm(dim=-1).max() * codec.keys(rows, by).norm(dim=-1).max())
    torch.testing.assert_close(found.double(), by_decoding(codec, q_GMD, rows, by), atol=2e-6 * most, rtol=0)


@pytest.mark.parametrize("name", CODECS)
def test_without_kernels_products_are_in_the_dtype_of_what_is_stored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    codec = CODECS[name]
    q_GMD, k_GNBD = normal(2, 8, 64, seed=1).bfloat16(), normal(2, 4, 32, 64, seed=2).bfloat16()
    rows, by = encoded(codec, k_GNBD)
    found, wanted = codec.products(q_GMD, rows, by), by_decoding(codec, q_GMD, rows, by)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found.double(), wanted, atol=0.15, rtol=0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["int8", "int4", "think", "low_rank"])
def test_many_keys_are_scored_without_being_decoded(
    name: str, dtype: torch.dtype, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a thread takes; the products have nothing of the model's rounding."""
    codec = CODECS[name]
    q_GMD, k_GNBD = normal(2, 8, 64, seed=1).to(dtype), normal(2, 40, 32, 64, seed=2).to(dtype)
    rows, by = encoded(codec, k_GNBD)
    wanted = by_decoding(codec, q_GMD, rows, by)
    monkeypatch.setattr(type(codec), "keys", None)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = codec.products(q_GMD, rows, by)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found.double(), wanted, atol=1e-3, rtol=0)
