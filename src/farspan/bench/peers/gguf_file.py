"""Writes a Llama as GGUF, so that llama.cpp runs the same weights.

llama.cpp turns neighbouring dims by one angle, transformers dims that lie half a head apart: the rows of the query and
key projections change places. There is no tokenizer in the file, since token ids are all that is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from farspan.bench.peers.outside import PeerAbsent

_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(model: Any, path: Path) -> None:
    """Write a transformers model. Raises PeerAbsent for any but a plain Llama, and without the package gguf."""
    config = model.config
    plain = config.model_type == "llama" and config.rope_parameters["rope_type"] == "default"
    if not plain or config.attention_bias or config.mlp_bias:
        raise PeerAbsent("only a Llama without biases and rope scaling is written for it")
    try:
        from gguf import GGMLQuantizationType, GGUFWriter
    except ImportError:
        raise PeerAbsent("the package gguf is not installed: pip install gguf") from None
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    for name, weight in _tensors(model):
        if weight.dtype == torch.bfloat16:
            writer.add_tensor(
                name, weight.view(torch.int16).numpy().view("uint16"), raw_dtype=GGMLQuantizationType.BF16
            )
        else:
            writer.add_tensor(name, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every weight once, by llama.cpp's name; norms are float32 whatever the others are."""
    config, tied = model.config, model.config.tie_word_embeddings
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for full_name, value in model.state_dict().items():
        weight, name = value.detach().cpu(), full_name.removesuffix(".weight")
        if name in _TOP:
            if not (tied and name == "lm_head"):
                yield f"{_TOP[name]}.weight", _floats(weight)
            continue
        _, _, layer, part = name.split(".", 3)
        kind = _LAYER[part]
        yield f"blk.{layer}.{kind}.weight", _floats(_neighbours(weight, heads[kind]) if kind in heads else weight)


def _floats(weight: Tensor) -> Tensor:
    return weight.float() if weight.ndim == 1 else weight.contiguous()


def _neighbours(weight: Tensor, heads: int) -> Tensor:
    """Put the two rows of each rotary pair side by side."""
    return weight.reshape(heads, 2, -1, weight.shape[-1]).transpose(1, 2).reshape(weight.shape)
