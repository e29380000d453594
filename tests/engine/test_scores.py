"""Looking at one forward gives what transformers' own eager attention has inside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from farspan.engine import Model
from farspan.engine.scores import attention_rows, entropy, last_products
from tests.attention.families import build
from tests.tiny import VOCABULARY, eager, llama, model, random_ids, tokenizer


def weights(made: Any, ids: list[int], layer: int) -> Tensor:
    """Attention of one layer, summed over heads, from transformers: `[T, T]`."""
    made.set_attn_implementation("eager")
    with torch.no_grad():
        return made(torch.tensor([ids]), output_attentions=True).attentions[layer][0].sum(0)


@pytest.mark.parametrize("layer", [0, 1])
def test_attention_rows_are_eager_attention(layer: int) -> None:
    ids = random_ids(101)
    wanted = weights(llama(), ids, layer)
    found = torch.from_numpy(attention_rows(model(), ids, 60, layer))
    assert found.shape == (41, 101)
    assert (found - wanted[60:]).abs().max() <= 1e-5


@pytest.mark.parametrize("family", ["Mistral", "GptOss", "Gemma2"])
def test_attention_rows_of_layers_that_slide_cap_or_sink(family: str) -> None:
    made = build(family, vocab_size=VOCABULARY, sliding_window=24)
    ids = random_ids(150)
    hosted = Model(made, tokenizer(), family)
    for layer in range(len(hosted.hosted.facts)):
        found = torch.from_numpy(attention_rows(hosted, ids, 100, layer))
        assert (found - weights(made, ids, layer)[100:]).abs().max() <= 1e-4


def test_last_products_are_those_of_turned_queries_and_keys() -> None:
    ids, made = random_ids(70), llama()
    made.set_attn_implementation("eager")
    with torch.no_grad():
        states = made(torch.tensor([ids]), output_hidden_states=True).hidden_states[1]
        layer = made.model.layers[1]
        states = layer.input_layernorm(states)
        q = layer.self_attn.q_proj(states).view(1, len(ids), -1, layer.self_attn.head_dim).transpose(1, 2)
        k = layer.self_attn.k_proj(states).view(1, len(ids), -1, layer.self_attn.head_dim).transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, *made.model.rotary_emb(states, torch.arange(len(ids))[None]))
    heads, kv_heads = q.shape[1], k.shape[1]
    wanted = sum(k[0, head * kv_heads // heads] @ q[0, head, -1] for head in range(heads))
    found = torch.from_numpy(last_products(model(), ids, 1))
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def test_the_forward_ends_at_the_layer_that_is_looked_at() -> None:
    hosted = Model(llama(), tokenizer(), "counted")
    reached: list[int] = []
    for index, layer in enumerate(hosted.hosted._body.model.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: reached.append(index))
    assert last_products(hosted, random_ids(9), 0).shape == (9,)
    assert reached == [0]
    entropy(hosted, random_ids(9))
    assert reached == [0, 0, 1]


def test_entropy_is_that_of_the_next_token() -> None:
    ids = random_ids(90)
    share = eager(llama(), ids)[-1].softmax(-1)
    assert entropy(model(), ids) == pytest.approx(-sum(float(p * p.log()) for p in share), abs=1e-4)
