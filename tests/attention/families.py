"""Tiny random models of every family that farspan is tested on, and one that is refused for each reason.

`FAMILIES[name]()` builds the same model every time: vocabulary 128, width 64, a trained context of 256 tokens, sliding
windows of 16, and weights large enough that positions matter to the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY = 128
WINDOW = 256
SLIDING = 16

_BASE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 48}


def build(family: str, config_name: str = "", **options: Any) -> PreTrainedModel:
    """A model of transformers' `family` over the tiny base, in float32; an option of None leaves the base's out."""
    settings = {name: value for name, value in {**_BASE, **options}.items() if value is not None}
    config = getattr(transformers, config_name or f"{family}Config")(**settings)
    state = torch.get_rng_state()
    torch.manual_seed(20)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    for name, parameter in model.named_parameters():
        if name.endswith("sinks"):
            torch.nn.init.normal_(parameter)
    torch.set_rng_state(state)
    return model.eval()


def rope(kind: str, **options: Any) -> dict[str, Any]:
    """`rope_parameters` of one type, stretching 64 original tokens to the window."""
    return {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, **options}


_LLAMA3 = rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
_YARN = rope("yarn", original_max_position_embeddings=64)
_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0, 2.2],
    "long_factor": [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "original_max_position_embeddings": 128,
}
_HALF = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
_GEMMA = {"head_dim": 24, "sliding_window": SLIDING, "query_pre_attn_scalar": 24, "num_hidden_layers": 4}

FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": partial(build, "Llama"),
    "llama-llama3": partial(build, "Llama", rope_parameters=_LLAMA3),
    "llama-yarn": partial(build, "Llama", rope_parameters=_YARN),
    "llama-linear": partial(build, "Llama", rope_parameters=rope("linear")),
    "llama-dynamic": partial(build, "Llama", rope_parameters=rope("dynamic")),
    "qwen2": partial(build, "Qwen2"),
    "qwen2-sliding": partial(build, "Qwen2", use_sliding_window=True, sliding_window=SLIDING, max_window_layers=1),
    "qwen3": partial(build, "Qwen3", head_dim=24),
    "mistral": partial(build, "Mistral", sliding_window=SLIDING),
    "gemma2": partial(build, "Gemma2", **_GEMMA, attn_logit_softcapping=3.0),
    "gemma3": partial(
        build,
        "Gemma3",
        "Gemma3TextConfig",
        **_GEMMA,
        layer_types=["sliding_attention", "full_attention"] * 2,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
            "full_attention": rope("linear"),
        },
    ),
    "phi3": partial(build, "Phi3", rope_parameters=_HALF, sliding_window=SLIDING),
    "phi3-longrope": partial(build, "Phi3", rope_parameters=_LONG, original_max_position_embeddings=128),
    "smollm3": partial(build, "SmolLM3", num_hidden_layers=4, no_rope_layer_interval=2),
    "gpt-oss": partial(
        build,
        "GptOss",
        head_dim=16,
        sliding_window=SLIDING,
        num_local_experts=4,
        num_experts_per_tok=2,
        layer_types=["sliding_attention", "full_attention", "full_attention"],
        rope_parameters=_YARN,
    ),
    "glm4": partial(build, "Glm4", head_dim=16, attention_bias=True, rope_parameters=_HALF),
    "granite": partial(build, "Granite", attention_multiplier=0.3, residual_multiplier=0.5, logits_scaling=2.0),
    "olmo2": partial(build, "Olmo2"),
    "gpt-neox": partial(
        build, "GPTNeoX", num_key_value_heads=None, rope_parameters={**_HALF, "partial_rotary_factor": 0.25}
    ),
    "qwen3-moe": partial(build, "Qwen3Moe", head_dim=16, num_experts=4, **_EXPERTS),
}
