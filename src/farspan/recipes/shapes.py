"""The shape that the constructed weights are written for: widths, rotary speeds, what each head starts as."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from transformers import LlamaConfig

WINDOW = 1024
THETA = 10_000.0
_WRITERS = dict.fromkeys(range(4), "write")
_PLAN = (
    _WRITERS,
    {0: "bundle_4", 1: "bundle_8", 2: "restate_2", 3: "near"},
    {0: "next", 1: "early", 2: "late", 3: "same"},
    {0: "restate_3", 1: "bridge", 2: "same", 3: "self"},
)


def spaced(first: float, last: float, amount: int) -> list[float]:
    """`amount` numbers from `first` to `last`, each the same factor from the one before."""
    return [first * (last / first) ** (i / (amount - 1)) for i in range(amount)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama of four layers with one KV head, and the plan of its heads, a dict of number and kind a layer.

    Rotary pairs are of two sorts: `fast` of them turn by 1 to 0.09 radian a token, by which heads look a few tokens
    back; the others turn by 0.4 to 1.2 radians in the whole window, so that what keys hold in them keeps its meaning
    inside the window and loses it beyond.

    `code` is the width of one slot; `power` the mean square of the residual stream that each layer meets, by which
    scores are divided; `gain` how strongly each layer's heads write what they copy; `forget` how much of the token
    itself the last layer takes back; `look` the nats that one fast rotary pair gives to a head that looks back;
    `far` the nats by which matching heads put off keys in the window, and take on keys at some four windows.
    """

    width: int = 320
    heads: int = 4
    head: int = 256
    mlp: int = 256
    code: int = 16
    fast: int = 29
    power: tuple[float, ...] = (0.45, 0.62, 1.05, 1.5)
    gain: tuple[float, ...] = (0.0, 0.8, 0.8, 1.2)
    forget: float = 0.8
    look: float = 4.0
    far: float = 20.0
    plan: tuple[dict[int, str], ...] = field(default=_PLAN)

    @property
    def pairs(self) -> int:
        """Rotary pairs of a head: pair i is dims i and i + pairs."""
        return self.head // 2

    @property
    def speeds(self) -> list[float]:
        """Radians a token of every rotary pair."""
        return spaced(1.0, 0.09, self.fast) + spaced(1.2 / WINDOW, 0.4 / WINDOW, self.pairs - self.fast)

    def config(self, vocabulary: int) -> LlamaConfig:
        """The model's configuration. LongRoPE's factors a pair are how transformers is told the speeds."""
        factors = [round(THETA ** (-i / self.pairs) / speed, 6) for i, speed in enumerate(self.speeds)]
        return LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=self.width,
            num_hidden_layers=len(self.plan),
            num_attention_heads=self.heads,
            num_key_value_heads=1,
            head_dim=self.head,
            intermediate_size=self.mlp,
            max_position_embeddings=WINDOW,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": THETA,
                "short_factor": factors,
                "long_factor": factors,
                "original_max_position_embeddings": WINDOW,
                "factor": 1.0,
                "attention_factor": 1.0,
            },
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            bos_token_id=0,
            eos_token_id=3,
            pad_token_id=3,
        )

    def score(self, layer: int) -> float:
        """What a product of a query and a key, of normalised inputs, must be for one nat."""
        return self.power[layer] * math.sqrt(self.head)
