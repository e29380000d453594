"""A model that one can look through: its logits say which tokens each query has attended to, and how often.

One layer whose queries and keys are zero, so that attention is even over whatever a query meets, and whose values,
like its embeddings, are one-hot: the output is the share of every token of the vocabulary. In a text of different
tokens that is the share of every position.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from farspan.engine import Model, Session
from tests.attention.families import build
from tests.tiny import tokenizer

VOCABULARY = 320
WINDOW = 64


@cache
def glass() -> Model:
    """The model, for texts of up to 320 different tokens."""
    made = build(
        "Llama",
        vocab_size=VOCABULARY,
        hidden_size=VOCABULARY,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        eos_token_id=None,
    )
    eye = torch.eye(VOCABULARY)
    attention, mlp = made.model.layers[0].self_attn, made.model.layers[0].mlp
    for weight, value in (
        (made.model.embed_tokens.weight, eye),
        (made.lm_head.weight, eye),
        (attention.q_proj.weight, 0 * eye),
        (attention.k_proj.weight, 0 * eye),
        (attention.v_proj.weight, eye),
        (attention.o_proj.weight, eye),
        (mlp.down_proj.weight, torch.zeros(VOCABULARY, 8)),
    ):
        weight.data.copy_(value)
    return Model(made, tokenizer(), "glass")


def text(seed: int = 0) -> list[int]:
    """Every token once."""
    return torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(seed)).tolist()


def shares(session: Session, ids: list[int]) -> Tensor:
    """Read `ids`, all different: `[T, T]`, the share of its attention that token i gave to token j."""
    logits_TV = session.logits(ids)
    gain = VOCABULARY**0.5  # of the norm before attention
    logits_TV = logits_TV / logits_TV.sum(-1, keepdim=True) * (1 + gain)
    logits_TV[torch.arange(len(ids)), torch.tensor(ids)] -= 1
    return logits_TV[:, torch.tensor(ids)] / gain
