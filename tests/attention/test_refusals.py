"""A model that farspan would get wrong is refused, with its class and the reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import transformers

from farspan.attention.adapter import host, refuse
from farspan.errors import ModelError
from tests.attention.families import build

_SMALL = {"vocab_size": 128, "hidden_size": 64, "num_hidden_layers": 2}
_GPT = {"vocab_size": 128, "n_embd": 64, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
_T5 = {"vocab_size": 128, "d_model": 64, "d_ff": 64, "num_layers": 2, "num_heads": 2, "d_kv": 16}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
_EXPERTS = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32, "num_experts_per_tok": 2}
_SHARING = {
    "head_dim": 16,
    "num_kv_shared_layers": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 128,
}
_MIXED = ["sliding_attention", "full_attention", "full_attention"]


def small(family: str, kind: str = "ForCausalLM", **options: Any) -> Any:
    """A tiny model of a family whose configuration has names of its own."""
    return getattr(transformers, family + kind)(getattr(transformers, f"{family}Config")(**options))


def trained_hunyuan() -> Any:
    """It scales its keys by learned weights after it has turned them."""
    model = build("HunYuanDenseV1", head_dim=16)
    for name, parameter in model.named_parameters():
        if "key_layernorm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def not_loaded() -> Any:
    """A model without its weights."""
    with torch.device("meta"):
        return build("Llama")


def broken() -> Any:
    """A model with a weight that is no number."""
    model = build("Llama")
    torch.nn.init.constant_(model.model.layers[1].self_attn.v_proj.weight, float("nan"))
    return model


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "learned positions": (partial(small, "GPT2", "LMHeadModel", **_GPT), "GPT2LMHeadModel.*no rotary positions"),
    "ALiBi": (partial(small, "Bloom", **_SMALL, n_head=4), "BloomForCausalLM.*attention interface"),
    "rotation inside its attention": (partial(small, "GPTJ", **_GPT, rotary_dim=8), "GPTJ.*attention interface"),
    "state space": (partial(small, "Mamba", **_SMALL), "MambaForCausalLM.*no rotary|linear_attention"),
    "encoder-decoder": (partial(small, "T5", "ForConditionalGeneration", **_T5), "T5.*encoder-decoder"),
    "hybrid": (
        partial(
            build, "Qwen3Next", head_dim=16, num_experts=4, layer_types=["linear_attention"] * 2 + ["full_attention"]
        ),
        "Qwen3Next.*linear_attention",
    ),
    "complex rotations": (
        partial(
            build, "Llama4", "Llama4TextConfig", layer_types=["full_attention"] * 3, head_dim=16, num_local_experts=2
        ),
        "Llama4ForCausalLM.*does not give cos and sin",
    ),
    "chunked attention": (
        partial(
            build, "Llama4", "Llama4TextConfig", layer_types=["chunked_attention"] * 3, head_dim=16, num_local_experts=2
        ),
        "Llama4ForCausalLM.*chunked_attention",
    ),
    "latent attention": (
        partial(build, "DeepseekV3", num_key_value_heads=4, head_dim=8, **_LATENT, **_EXPERTS, first_k_dense_replace=1),
        "DeepseekV3ForCausalLM",
    ),
    "shared keys and values": (
        partial(build, "Gemma4", "Gemma4TextConfig", global_head_dim=16, layer_types=_MIXED, **_SHARING),
        "Gemma4ForCausalLM.*last 1 layers share",
    ),
    "keys attended to twice": (partial(build, "DiffLlama"), "DiffLlamaForCausalLM.*more than once"),
    "scaled after turning": (trained_hunyuan, "HunYuanDenseV1ForCausalLM.*layer 0 turns"),
    "no head": (
        partial(small, "Llama", "Model", **_SMALL, num_attention_heads=4),
        "LlamaModel.*no language-model head",
    ),
    "no weights": (not_loaded, "LlamaForCausalLM.*not loaded"),
    "not a number": (broken, "LlamaForCausalLM.*layer 1 gives values that are not finite"),
    "no transformers model": (partial(torch.nn.Linear, 2, 2), "Linear.*not a transformers model"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused_by_name_and_reason(reason: str) -> None:
    make, message = REFUSED[reason]
    with pytest.raises(ModelError, match=message) as caught:
        host(make())
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_positions_outside_the_rotary_module_are_noticed() -> None:
    """A model with both rotary and learned positions."""
    model = build("Llama")
    table = torch.nn.Embedding(256, 64)

    class Shifted(type(model.model)):
        def forward(self, input_ids: Any, position_ids: Any, inputs_embeds: Any = None, **options: Any) -> Any:
            embeds = self.embed_tokens(input_ids) + table(position_ids)
            return super().forward(inputs_embeds=embeds, position_ids=position_ids, **options)

    model.model.__class__ = Shifted
    with pytest.raises(ModelError, match="positions in other places"):
        host(model)


def test_what_needs_no_weights_is_told_without_them() -> None:
    with torch.device("meta"):
        refuse(build("Llama"))
        learned = small("GPT2", "LMHeadModel", **_GPT)
    with pytest.raises(ModelError, match="no rotary positions"):
        refuse(learned)
