"""Low-rank keys: as good as the singular vectors of the keys at hand can be, and what becomes of them in a stream.

Shapes: G KV heads, N blocks, B tokens in a block, S keys, D key width, R directions.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from farspan.cache.columns import BlockShape
from farspan.engine import Model, Session
from farspan.methods.parts.codec.low_rank import LowRankKeys
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NewBlocks, Notes
from tests.tiny import different_ids, eager, llama, tokenizer

HEADS, BLOCK, WIDTH = 3, 4, 6
SHAPE = BlockShape(HEADS, BLOCK, WIDTH, WIDTH, torch.float32)
VOCABULARY = 512


def keys(blocks: int, seed: int, like: int = 0) -> Tensor:
    """Blocks whose keys are larger in some directions, the same ones for one `like`: `[G, N, B, D]`."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(18, 18, generator=torch.Generator().manual_seed(like)))[0]
    k_SW = torch.randn(blocks * BLOCK, 18, generator=generator) * 0.7 ** torch.arange(18) @ mixing
    return k_SW.view(blocks, BLOCK, HEADS, WIDTH).permute(2, 0, 1, 3).contiguous()


def flat(k_GNBD: Tensor) -> Tensor:
    """The heads of every token side by side: `[S, G * D]`."""
    return k_GNBD.flatten(1, 2).transpose(0, 1).flatten(1)


def optimum(k_SW: Tensor, rank: int) -> float:
    """How near any `rank` directions come to these keys: what the smaller singular values leave."""
    return float(torch.linalg.svd(k_SW.double(), full_matrices=False)[1][rank:].square().sum().sqrt())


def learned(codec: LowRankKeys, *at_hand: Tensor, before: Notes | None = None) -> Notes:
    """The notes of a layer when blocks are about to be stored."""
    empty = {column.name: torch.zeros(column.heads, *column.shape) for column in codec.notes(SHAPE)}
    notes = empty if before is None else before
    return {**notes, **codec.before_blocks(notes, NewBlocks(at_hand[0], 0, 0, tuple(k.flatten(1, 2) for k in at_hand)))}


def restored(codec: LowRankKeys, k_GNBD: Tensor, notes: Notes) -> Tensor:
    rows = codec.encode(k_GNBD, k_GNBD, Surroundings(notes, None))
    assert rows["k"].shape[0] == 1 and torch.equal(rows["v"], k_GNBD)
    return codec.keys(rows, Decoding(SHAPE, torch.arange(HEADS), notes))


@pytest.mark.parametrize("rank", [1, 5, 10])
def test_no_directions_are_better_for_the_keys_at_hand(rank: int) -> None:
    sinks, recent = keys(1, 1), keys(19, 2)
    codec = LowRankKeys(rank)
    notes = learned(codec, sinks, recent)
    both = torch.cat((sinks, recent), 1)
    error = float((restored(codec, both, notes) - both).double().norm())
    best = optimum(flat(both), rank)
    assert best - 1e-5 <= error <= best * 1.0001 + 1e-5
    later = keys(9, 3)
    off = float((restored(codec, later, notes) - later).norm()) / optimum(flat(later), rank)
    assert off < 1.5, "keys of the same kind are stored about as well"
    other = keys(9, 3, like=1)
    assert float((restored(codec, other, notes) - other).norm()) > 1.5 * optimum(flat(other), rank) or rank == 1


def test_one_head_of_any_block_is_decoded_alone() -> None:
    codec = LowRankKeys(7)
    k_GNBD = keys(5, 4)
    notes = learned(codec, k_GNBD)
    whole = restored(codec, k_GNBD, notes)
    rows_NX, heads_N = torch.tensor([[0, 4], [2, 2], [3, 1]]), torch.tensor([2, 0, 2])
    code = codec.encode(k_GNBD, k_GNBD, Surroundings(notes, None))["k"][0, rows_NX]
    found = codec.keys({"k": code}, Decoding(SHAPE, heads_N, notes))
    torch.testing.assert_close(found, whole[heads_N[:, None], rows_NX])


def test_missing_directions_are_added_and_none_is_changed() -> None:
    codec = LowRankKeys(12)
    first, second, third = keys(1, 5), keys(1, 6), keys(6, 7)
    few = learned(codec, first)
    assert int(few["basis"].any(-1).any(0).sum()) == BLOCK, "as many as there are keys"
    torch.testing.assert_close(restored(codec, first, few), first, atol=1e-5, rtol=0)
    more = learned(codec, torch.cat((first, second), 1), before=few)
    assert torch.equal(more["basis"][:, :BLOCK], few["basis"][:, :BLOCK])
    torch.testing.assert_close(restored(codec, second, more), second, atol=1e-5, rtol=0)
    full = learned(codec, third, before=more)
    basis_RW = full["basis"].transpose(0, 1).flatten(1)
    torch.testing.assert_close(basis_RW @ basis_RW.T, torch.eye(12), atol=1e-5, rtol=0)
    assert learned(codec, keys(6, 8), before=full) == full, "a whole basis stays as it is"
    rows = codec.encode(first, first, Surroundings(few, None))
    torch.testing.assert_close(codec.keys(rows, Decoding(SHAPE, torch.arange(HEADS), full)), first, atol=1e-5, rtol=0)


def test_keys_that_are_nothing_have_no_directions() -> None:
    zero = torch.zeros(HEADS, 3, BLOCK, WIDTH)
    codec = LowRankKeys(4)
    notes = learned(codec, zero)
    assert not notes["basis"].any() and not restored(codec, zero, notes).any()


@pytest.fixture(scope="module")
def model() -> Model:
    """Two KV heads of 16 channels, so that keys have 32 numbers a token."""
    return Model(llama(vocab_size=VOCABULARY, max_position_embeddings=VOCABULARY, head_dim=16), tokenizer(), "low rank")


IDS = different_ids(400, vocabulary=VOCABULARY)


def stored(session: Session, number: int) -> Tensor:
    """The keys of a layer's blocks as they are decoded, the heads side by side: `[S, G * D]`."""
    layer = session._stream.kv.layers[number]
    assert layer.arena is not None
    by = Decoding(layer.shape, torch.arange(2), layer.notes)
    parts = [layer.plan.codec.keys(rows, by) for _, rows in layer.arena.scan(("k",), 64)]
    return flat(torch.cat(parts, 1))


def test_stored_keys_are_near_the_best_that_so_many_numbers_can_do(model: Model) -> None:
    """Layer by layer: the same keys as they are, as they are decoded, and what a rank of 8 leaves at best."""
    with model.session("full(n_local=100)", chunk=50) as raw, model.session("low_rank(rank=8)", chunk=50) as plain:
        raw.read(IDS)
        plain.read(IDS[:300])
        wanted = stored(raw, 0)
        assert not plain._stream.kv.layers[0].arena.length, "all of it fits the window"
    with model.session("full(n_local=100)+low_rank(rank=8)", chunk=50) as session:
        session.read(IDS)
        found, counts = stored(session, 0), session.counts
        codes = next(iter(session._stream.kv.layers[0].arena.scan(("k",), 64)))[1]["k"]
    assert codes.shape[0] == 1 and codes.shape[-1] == 8 and not counts.exact
    assert found.shape == wanted.shape
    best, error = optimum(wanted, 8), float((found - wanted).double().norm())
    assert best < error < 1.3 * best
    first = wanted[:100]
    assert float((found[:100] - first).norm()) < 1.15 * optimum(first, 8), "the keys that the directions are of"


def test_attention_is_closer_the_more_directions_there_are(model: Model) -> None:
    wanted, off = eager(model.hosted.model, IDS), []
    for rank in (4, 16, 32):
        with model.session(f"full(n_local=100)+low_rank(rank={rank})", chunk=20) as session:
            off.append(float((session.logits(IDS) - wanted).norm() / wanted.norm()))
    assert off[0] > 2 * off[1] > 100 * off[2] and off[2] < 1e-5


def test_the_rank_follows_the_paper_and_never_exceeds_the_keys() -> None:
    """160 for Llama-3 (1,024), Phi-3-mini (3,072) and GLM-4 (256); less only where there is less."""
    for heads, wanted in ((8, 160), (24, 160), (2, 160), (1, 80)):
        shape = BlockShape(heads, 8, 128, 128, torch.bfloat16)
        for codec, rank in ((LowRankKeys(), wanted), (LowRankKeys(40), 40), (LowRankKeys(5000), heads * 128)):
            assert [column.shape[-1] for column in codec.columns(shape)] == [rank, 128]
            assert codec.notes(shape)[0].row_bytes == rank * heads * 128 * 4
