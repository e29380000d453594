"""Encoded blocks: what is kept, how small they are, and what attention makes of it.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width, T last queries.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import farspan
from farspan import methods
from farspan.attention.rope import Rope
from farspan.cache.columns import BlockShape, Rows
from farspan.engine import Model, Session
from farspan.errors import MethodError
from farspan.methods.parts.axes import Codec
from farspan.methods.parts.codec.pruned_channels import PrunedChannels
from farspan.methods.parts.codec.quantised import QuantisedBlocks
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import Notes
from farspan.types import Budget
from tests.tiny import WIDE, different_ids, eager, llama, random_ids, tokenizer

NOTHING = Surroundings({}, None)


def shape_of(k_GNBD: Tensor, v_GNBE: Tensor) -> BlockShape:
    heads, _, tokens, width = k_GNBD.shape
    return BlockShape(heads, tokens, width, v_GNBE.shape[-1], k_GNBD.dtype)


def decoding(k_GNBD: Tensor, v_GNBE: Tensor, notes: Notes = NOTHING.notes) -> Decoding:
    """How blocks of all heads, in their order, are decoded."""
    return Decoding(shape_of(k_GNBD, v_GNBE), torch.arange(k_GNBD.shape[0]), notes)


def encoded(codec: Codec, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings = NOTHING) -> Rows:
    """The rows of these blocks, which are as the columns say."""
    rows = codec.encode(k_GNBD, v_GNBE, around)
    columns = {column.name: column for column in codec.columns(shape_of(k_GNBD, v_GNBE))}
    assert set(rows) == set(columns) == {*codec.key_columns, *codec.value_columns}
    for name, column in columns.items():
        assert rows[name].shape == (column.heads, k_GNBD.shape[1], *column.shape)
        assert rows[name].dtype == column.dtype
    return rows


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def kept_by_hand(k_BD: Tensor, q_TD: Tensor, pairs: list[tuple[int, int]], ratio: float) -> list[int]:
    """One head's block: units of two channels in the order of what they are worth, the least dropped."""
    width = k_BD.shape[1]
    energy = [
        (float(sum(k[c] ** 2 for k in k_BD)) / len(k_BD), float(sum(q[c] ** 2 for q in q_TD)) / len(q_TD))
        for c in range(width)
    ]
    alone = [c for c in range(width) if not any(c in pair for pair in pairs)]
    alone.sort(key=lambda c: energy[c][0] * energy[c][1])
    worth = {(a, b): (energy[a][0] + energy[b][0]) * (energy[a][1] + energy[b][1]) / 4 for a, b in pairs}
    for a, b in zip(alone[0::2], alone[1::2], strict=False):
        worth[a, b] = (energy[a][0] * energy[a][1] + energy[b][0] * energy[b][1]) / 2
    lost = sorted(worth, key=lambda unit: worth[unit])[: int(ratio * width / 2)]
    return [c for c in range(width) if not any(c in unit for unit in lost)]


LAYOUTS: dict[str, tuple[Rope | None, list[tuple[int, int]]]] = {
    "halves": (Rope(torch.rand(6)), [(c, c + 6) for c in range(6)]),
    "neighbours": (Rope(torch.rand(6), interleaved=True), [(c, c + 1) for c in range(0, 12, 2)]),
    "in part": (Rope(torch.rand(3)), [(0, 3), (1, 4), (2, 5)]),
    "none": (None, []),
}


@pytest.mark.parametrize("ratio", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_think_keeps_the_channels_that_queries_and_keys_are_large_in(layout: str, ratio: float) -> None:
    rope, pairs = LAYOUTS[layout]
    q_GTD, k_GNBD = normal(2, 32, 12) * normal(2, 1, 12, seed=1).exp(), normal(2, 5, 7, 12, seed=2)
    k_GNBD *= normal(2, 5, 1, 12, seed=3).exp()
    codec = PrunedChannels(ratio)
    rows = encoded(codec, k_GNBD, k_GNBD, Surroundings({"energy": q_GTD.square()}, rope))
    decoded = codec.keys(rows, decoding(k_GNBD, k_GNBD))
    for head in range(2):
        for block in range(5):
            kept = kept_by_hand(k_GNBD[head, block], q_GTD[head], pairs, ratio)
            assert rows["k_channels"][head, block].tolist() == kept
            assert torch.equal(rows["k"][head, block], k_GNBD[head, block][:, kept])
            lost = [c for c in range(12) if c not in kept]
            assert len(lost) == 2 * int(ratio * 6) and not decoded[head, block][:, lost].any()
            assert torch.equal(decoded[head, block][:, kept], k_GNBD[head, block][:, kept])
    assert torch.equal(codec.values(rows, decoding(k_GNBD, k_GNBD)), k_GNBD)
    assert len({tuple(kept) for kept in rows["k_channels"].flatten(0, 1).tolist()}) > 1


@pytest.mark.parametrize("interleaved", [False, True])
def test_which_dims_turn_together(interleaved: bool) -> None:
    rope = Rope(torch.rand(3) + 0.5, interleaved=interleaved)
    for a, b in rope.pairs().tolist():
        turned = rope.rotate(torch.eye(8)[[a, b]], torch.tensor([1.0, 1.0]))
        assert {c for row in turned for c in row.nonzero().squeeze(1).tolist()} == {a, b}


@pytest.fixture(scope="module")
def model() -> Model:
    """Wide heads, blocks of 32 tokens, and a vocabulary for long texts of different tokens."""
    return Model(llama(vocab_size=WIDE, max_position_embeddings=1024, head_dim=32), tokenizer(), "codec")


IDS = different_ids(480, vocabulary=WIDE)


def resident(session: Session) -> int:
    """Bytes of the blocks' tensors that are really there."""
    rings = [layer.arena._rings[0] for layer in session._stream.kv.layers if layer.arena is not None]
    return sum(tensor.untyped_storage().nbytes() for ring in rings for tensor in ring._data.values())


@pytest.mark.parametrize(
    ("codec", "each", "notes"),
    [
        ("int8", (32 * 32 + 32 * 4) + (32 * 32 + 32 * 4), 0),
        ("int4", (32 * 16 + 32 * 4) + (32 * 16 + 32 * 4), 0),
        ("think", (32 * 20 * 4 + 20 * 2) + 32 * 32 * 4, 32 * 32 * 4),
        ("low_rank", 32 * 40 * 4 // 2 + 32 * 32 * 4, 40 * 32 * 4),
    ],
)
def test_blocks_are_really_smaller(model: Model, codec: str, each: int, notes: int) -> None:
    """By hand: the bytes of one head's block of 32 tokens, and of what a head's part of a layer is noted.

    Of 32 channels ThinK drops 12 and notes the squares of 32 queries; two heads share 40 low-rank coordinates a token,
    and note 40 directions.
    """
    plain, sizes = 2 * 32 * 32 * 4, []
    for method in ("full(n_local=32)", f"full(n_local=32)+{codec}"):
        with model.session(method, chunk=32) as session:
            session.read(IDS)
            assert session.counts.exact == (method == "full(n_local=32)")
            sizes.append((resident(session), session.counts.kv_bytes["device"]))
    blocks = (len(IDS) - 32 - 32) // 32
    assert sizes[1][0] * plain == sizes[0][0] * each
    assert sizes[0][1] - sizes[1][1] == 2 * 2 * (blocks * (plain - each) - notes)


@pytest.mark.parametrize(("codec", "times"), [("int8", 3.3), ("int4", 5.5), ("think", 1.2), ("low_rank", 1.2)])
def test_the_same_budget_holds_more_blocks(model: Model, codec: str, times: float) -> None:
    budget, blocks = Budget(600_000, disk=0), []
    for method in ("infllm(n_local=32, n_init=4)", f"infllm(n_local=32, n_init=4)+{codec}"):
        with model.session(method, budget, chunk=16) as session:
            session.read(random_ids(3000))
            counts = session.counts
            blocks.append(session._stream.kv.layers[0].arena.rows_in()["device"])
        assert counts.kv_bytes["device"] <= 600_000 and counts.dropped
    assert blocks[1] > times * blocks[0]


def off(model: Model, method: str, chunk: int = 16) -> float:
    """How far the logits are from full attention, as a share of their size."""
    wanted = eager(model.hosted.model, IDS)
    with model.session(method, chunk=chunk) as session:
        found = session.logits(IDS)
    return float((found - wanted).norm() / wanted.norm())


def test_attention_over_encoded_blocks_is_close_to_full(model: Model) -> None:
    raw, eight, four = (off(model, f"full(n_local=32){codec}") for codec in ("", "+int8", "+int4"))
    assert raw < 1e-5 < eight < 0.01
    assert 4 * eight < four < 0.15


def test_think_loses_least_by_its_own_choice(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels chosen the other way round cost more."""
    best = off(model, "full(n_local=32)+think")
    encode = PrunedChannels.encode

    def turned(self: PrunedChannels, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        rows = encode(self, k_GNBD, v_GNBE, around)
        kept = self._kept(1 / k_GNBD.square().mean(-2), 1 / around.notes["energy"].mean(1), around.rope)
        return {**rows, "k": k_GNBD.gather(-1, kept.unsqueeze(2).expand_as(rows["k"])), "k_channels": kept.short()}

    monkeypatch.setattr(PrunedChannels, "encode", turned)
    assert 1e-3 < best < 0.8 * off(model, "full(n_local=32)+think")


def test_the_last_queries_are_those_of_the_stream(model: Model, tmp_path: Path) -> None:
    """Whatever the chunks, and after opening."""
    tails = []
    for chunk in (1, 7, 50):
        with model.session("think", chunk=chunk) as session:
            session.read(IDS[:100])
            tails.append(session._stream.kv.layers[1].notes["energy"].clone())
            session.save(tmp_path / str(chunk))
        with farspan.open(tmp_path / str(chunk), model) as opened:
            assert torch.equal(opened._stream.kv.layers[1].notes["energy"], tails[-1])
    assert tails[0].shape == (2, 32, 32)
    torch.testing.assert_close(tails[1], tails[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tails[2], tails[0], atol=1e-4, rtol=1e-4)


def test_a_codec_joins_a_method_and_not_another_codec() -> None:
    joined = methods.parse("infllm(top_k=2)+int8").resolve(4096)
    assert joined.codec == QuantisedBlocks(8) and joined.window == 2048
    assert methods.parse("think(ratio=0.5)+topk").resolve(4096).codec == PrunedChannels(0.5)
    with pytest.raises(MethodError) as caught:
        methods.parse("int8+int4")
    assert "int8" in caught.value.message and "int4" in caught.value.message and "codec" in caught.value.message


@pytest.mark.parametrize("ratio", ["0", "0.0", "-0.1", "1", "1.5", "True", "1e999", "much"])
def test_a_ratio_is_a_share(ratio: str) -> None:
    with pytest.raises(MethodError):
        methods.parse(f"think(ratio={ratio})")
