"""The same weights for llama.cpp: what stands in the file, and, where it is installed, that it computes the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import pytest
import torch

from farspan.bench import shapes
from farspan.bench.contest import contest
from farspan.bench.contestants import Peers
from farspan.bench.peers.gguf_file import _neighbours, write_gguf
from farspan.bench.peers.outside import PeerAbsent
from farspan.bench.race import DECODE
from farspan.methods import parse
from farspan.types import Budget
from tests.attention.families import build
from tests.bench.random_llama import TINY, model

gguf = pytest.importorskip("gguf")


def test_the_file_holds_the_shape_and_every_weight(tmp_path: Path) -> None:
    weights = model().hosted.model
    write_gguf(weights, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "llama" and fields["tokenizer.ggml.model"] == "none"
    numbers = {
        "block_count": 2,
        "embedding_length": 64,
        "feed_forward_length": 96,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 16,
        "rope.dimension_count": 16,
        "context_length": 128,
        "vocab_size": 512,
    }
    assert {name: fields[f"llama.{name}"] for name in numbers} == numbers
    tensors = {tensor.name: torch.from_numpy(numpy.array(tensor.data)) for tensor in reader.tensors}
    assert len(tensors) == 2 * 9 + 2, "the head is the embedding"
    layer = weights.model.layers[1]
    assert torch.equal(tensors["blk.1.ffn_down.weight"], layer.mlp.down_proj.weight)
    assert torch.equal(tensors["token_embd.weight"], weights.model.embed_tokens.weight)
    q_heads = tensors["blk.1.attn_q.weight"].view(4, 8, 2, 64)
    assert torch.equal(q_heads.transpose(1, 2).reshape(64, 64), layer.self_attn.q_proj.weight)


def test_bfloat16_stays_bfloat16_but_for_norms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", TINY)
    weights = shapes.random_model("tiny", dtype="bfloat16").hosted.model
    write_gguf(weights, tmp_path / "model.gguf")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    down = tensors["blk.0.ffn_down.weight"]
    assert down.tensor_type == gguf.GGMLQuantizationType.BF16
    bits = torch.from_numpy(numpy.array(down.data)).view(torch.bfloat16)
    assert torch.equal(bits, weights.model.layers[0].mlp.down_proj.weight)
    assert tensors["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32


def test_neighbours_turned_by_one_angle_are_pairs_half_a_head_apart() -> None:
    weight, x = torch.randn(2 * 8, 5), torch.randn(5)
    angle = torch.rand(4)
    apart = (weight @ x).view(2, 2, 4)
    beside = (_neighbours(weight, 2) @ x).view(2, 4, 2)
    assert torch.equal(torch.complex(apart[:, 0], apart[:, 1]), torch.view_as_complex(beside))
    assert angle.shape == torch.view_as_complex(beside)[0].shape


def test_only_plain_llamas_are_written(tmp_path: Path) -> None:
    with pytest.raises(PeerAbsent, match="only a Llama"):
        write_gguf(build("Qwen2"), tmp_path / "model.gguf")


def test_llama_cpp_computes_the_same() -> None:
    """`contest` itself refuses a peer whose logits are others."""
    pytest.importorskip("llama_cpp")
    peers = Peers(tokens=64, llama_cpp=sys.executable, kvpress=sys.executable)
    result = contest(
        DECODE,
        model(),
        parse("infllm"),
        Budget(),
        [64],
        rounds=1,
        peers=peers,
        profile=False,
        note=lambda _: None,
    )
    assert "llama.cpp" in {row.name for row in result.rows}
