"""The shapes that the constructed weights are written for: what each head starts as, and how strong."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import LlamaConfig

from farspan.recipes.layout import THETA

Heads = dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama of four layers and four query heads, and the plan of its heads, a dict of number and kind a layer.

    `code` is the width of one slot; `power` the mean square of the residual stream that each layer meets, by which
    scores are divided; `gain` how strongly each layer's heads write what they copy; `forget` how much of the token
    itself the last layer takes back; `look` the nats that one fast rotary pair gives to a head that looks back.
    """

    kv_heads: int
    head: int
    code: int
    power: tuple[float, ...]
    gain: tuple[float, ...]
    forget: float
    look: float
    plan: tuple[Heads, ...]
    width: int = 256
    heads: int = 4
    mlp: int = 256

    def config(self, vocabulary: int) -> LlamaConfig:
        """The model's configuration: a window of 1,024, rotary base 10,000, tied embeddings."""
        return LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=self.width,
            num_hidden_layers=len(self.plan),
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head,
            intermediate_size=self.mlp,
            max_position_embeddings=1024,
            rope_parameters={"rope_type": "default", "rope_theta": THETA},
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            bos_token_id=0,
            eos_token_id=3,
            pad_token_id=3,
        )


_WRITERS = dict.fromkeys(range(4), "write")

SHAPES = {
    # the bundled model's: 3.4M parameters, keys of 36 slow dims
    "paired": Shape(
        kv_heads=2,
        head=128,
        code=18,
        power=(0.5, 0.88, 1.3, 1.6),
        gain=(0.0, 0.5, 0.6, 1.2),
        forget=1.2,
        look=5.0,
        plan=(
            _WRITERS,
            {0: "bundle", 2: "near", 3: "same"},
            {0: "next", 1: "quote", 2: "next", 3: "same"},
            {0: "next", 1: "quote", 2: "same", 3: "self"},
        ),
    ),
    # 4.5M parameters and as much KV, keys of 70 slow dims: sharper, not yet trained to the end
    "single": Shape(
        kv_heads=1,
        head=256,
        code=20,
        power=(0.45, 0.78, 1.2, 1.5),
        gain=(0.0, 0.8, 0.8, 1.2),
        forget=0.8,
        look=4.0,
        plan=(
            _WRITERS,
            {0: "bundle", 1: "near", 2: "same", 3: "quote"},
            {0: "next", 1: "quote", 2: "same", 3: "bridge"},
            {0: "next", 1: "quote", 2: "same", 3: "self"},
        ),
    ),
}
