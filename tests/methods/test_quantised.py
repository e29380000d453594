"""Keys and values as small whole numbers: how far they may be off, how small they are, and where tokens lie alone.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.cache.columns import BlockShape, row_bytes
from farspan.engine import Model
from farspan.methods.parts.codec.quantised import QuantisedBlocks
from farspan.methods.parts.codec.raw import RawBlocks
from tests.methods.test_codec import decoding, encoded, normal, resident
from tests.tiny import WIDE, different_ids, llama, tokenizer


def furthest(x: list[float], bits: int) -> float:
    """Half a step of a grid over `x`, and what half precision adds to its ends."""
    return (max(x) - min(x) + abs(min(x)) * 2**-10) / (2**bits - 1) / 2 * (1 + 2**-10) + 1e-7


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 9, 16, 33])
@pytest.mark.parametrize("bits", [8, 4])
@settings(max_examples=10, deadline=None)
@given(
    group=st.sampled_from([*range(1, 10), 32]),
    width=st.sampled_from([*range(1, 10), 33]),
    size=st.sampled_from([1e-6, 1e-2, 1.0, 300.0]),
    offset=st.sampled_from([0.0, -0.1, 7.0, -500.0]),
    seed=st.integers(0, 99),
)
def test_no_number_is_off_by_more_than_half_a_step(
    bits: int, tokens: int, group: int, width: int, size: float, offset: float, seed: int
) -> None:
    """The step of a key is its channel's over a group of tokens, that of a value its token's over channels; in blocks
    of few tokens keys are as values.
    """
    codec = QuantisedBlocks(bits, group)
    k_GNBD = normal(2, 3, tokens, width, seed=seed) * size + offset
    v_GNBE = normal(2, 3, tokens, width + 1, seed=seed + 1) * size + offset
    rows, by = encoded(codec, k_GNBD, v_GNBE), decoding(k_GNBD, v_GNBE)
    k_axis = 2 if tokens * bits > 32 else 3
    for x, found, axis in ((k_GNBD, codec.keys(rows, by), k_axis), (v_GNBE, codec.values(rows, by), 3)):
        assert found.shape == x.shape and found.dtype == x.dtype
        check_by_hand(x.movedim(axis, -1), found.movedim(axis, -1), group, bits, 2e-7 * (abs(offset) + 4 * size))


def check_by_hand(x: Tensor, found: Tensor, group: int, bits: int, rounding: float) -> None:
    """Every `group` numbers along the last axis, or what is left, are as near as one grid for them lets them be."""
    for low, high in pairwise([*range(0, x.shape[-1], group), x.shape[-1]]):
        parts = x[..., low:high].flatten(0, -2).tolist()
        off = (x - found)[..., low:high].abs().amax(-1).flatten().tolist()
        for part, most in zip(parts, off, strict=True):
            assert most <= furthest(part, bits) + rounding


def test_a_channel_that_is_large_in_all_tokens_costs_the_others_nothing() -> None:
    k_GNBD, v_GNBE = normal(1, 1, 32, 8), normal(1, 1, 32, 8)
    k_GNBD[..., 3] += 1000
    v_GNBE[:, :, 5] *= 1000
    codec = QuantisedBlocks(4)
    rows, by = encoded(codec, k_GNBD, v_GNBE), decoding(k_GNBD, v_GNBE)
    assert (codec.keys(rows, by) - k_GNBD).abs().max() < 0.25
    off = (codec.values(rows, by) - v_GNBE).abs().amax(-1)[0, 0]
    assert off[5] > 1 and off[torch.arange(32) != 5].max() < 0.25


def test_four_bits_are_packed_two_to_a_byte() -> None:
    """By hand: a grid in steps of 1 from the least number, so that the codes are what the numbers have above it."""
    k_GNBD = torch.tensor([[[[0.0, 15, 7]] * 8 + [[15, 0, 22]]]])
    v_GNBE = torch.tensor([[[[0.0, 15, 7]] * 8 + [[4, 11, 19]]]])
    rows = encoded(QuantisedBlocks(4), k_GNBD, v_GNBE)
    assert rows["k"].tolist() == [[[[0 + 15 * 16, 0]] * 8 + [[15 + 0 * 16, 15]]]]
    assert rows["k_grid"].tolist() == [[[[[0, 1], [0, 1], [7, 1]]]]]
    assert rows["v"].tolist() == [[[[0 + 15 * 16, 7]] * 8 + [[0 + 7 * 16, 15]]]]
    assert rows["v_grid"].tolist() == [[[[[0, 1]]] * 8 + [[[4, 1]]]]]


@pytest.mark.parametrize("tokens", [1, 5])
def test_keys_of_few_tokens_are_stored_as_values_are(tokens: int) -> None:
    x_GNBD = normal(2, 3, tokens, 33)
    rows = encoded(QuantisedBlocks(4), x_GNBD, x_GNBD)
    assert torch.equal(rows["k"], rows["v"]) and torch.equal(rows["k_grid"], rows["v_grid"])


@pytest.mark.parametrize("tokens", [1, 128])
@pytest.mark.parametrize(("bits", "each"), [(8, 9), (4, 5)])
def test_the_bits_that_a_number_takes(bits: int, each: int, tokens: int) -> None:
    shape = BlockShape(8, tokens, 128, 128, torch.bfloat16)
    numbers = 8 * tokens * (128 + 128)
    assert row_bytes(RawBlocks().columns(shape)) * 8 == 16 * numbers
    assert row_bytes(QuantisedBlocks(bits).columns(shape)) * 8 == each * numbers


@pytest.mark.parametrize("bits", [8, 4])
def test_grids_take_less_than_codes_whatever_the_block(bits: int) -> None:
    for tokens in range(1, 70):
        shape = BlockShape(8, tokens, 128, 128, torch.bfloat16)
        size = {column.name: column.row_bytes for column in QuantisedBlocks(bits).columns(shape)}
        assert size["k_grid"] < size["k"] == 8 * tokens * 128 * bits // 8


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 128 and wide heads."""
    return Model(llama(vocab_size=WIDE, max_position_embeddings=128, head_dim=32), tokenizer(), "alone")


IDS = different_ids(480, vocabulary=WIDE)
EVENTS = "em_llm(n_init=4, n_local=32, n_mem=40)"
ALONE = [
    EVENTS,
    "squeezed(n_init=4, n_local=32, segment=32)",
    "lm_infinite(n_global=4, n_local=32, top_k=5, top_k_from_layer=0)",
    "topk(n_init=4, n_local=32, block=1)",
    "hip(chunk_size=1, sink_token_size=4, sliding_window_size=32, dense_layers=0)",
]
"""Methods that store tokens one by one."""


@pytest.mark.parametrize(("codec", "each"), [("int8", 2 * (32 + 4)), ("int4", 2 * (16 + 4))])
@pytest.mark.parametrize("method", ALONE)
def test_tokens_stored_one_by_one_are_really_smaller(model: Model, method: str, codec: str, each: int) -> None:
    """By hand: what a head stores of a token, 32 channels of a key and of a value, each with one grid."""
    plain, there, told = 2 * 32 * 4, [], []
    for text in (method, f"{method}+{codec}"):
        with model.session(text, chunk=16) as session:
            session.read(IDS)
            there.append(resident(session))
            told.append(session.counts.kv_bytes["device"])
            layers = session._stream.kv.layers
            tokens = layers[0].arena.rows_in()["device"]
            assert tokens > 400 and all(layer.shape.tokens == 1 for layer in layers)
    assert there[1] * plain == there[0] * each
    assert told[0] - told[1] == pytest.approx(2 * 2 * tokens * (plain - each), rel=0.01)


def test_em_llm_recalls_the_same_from_codes(model: Model) -> None:
    found = []
    for method in (EVENTS, f"{EVENTS}+int8", f"{EVENTS}+int4"):
        with model.session(method, chunk=16) as session:
            found.append((session.logits(IDS), session.counts.fetched))
    (wanted, fetched), (eight, by_eight), (four, _) = found
    assert fetched == by_eight > 400
    assert (eight - wanted).norm() < 0.03 * wanted.norm() < (four - wanted).norm()
    assert (eight.argmax(-1) == wanted.argmax(-1)).float().mean() > 0.97
