"""The bundled model's shape, and where its constructed weights keep what they know in the residual stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transformers import LlamaConfig

SLOTS = 8
WRITERS = 4
THETA = 10_000.0
ANSWER, QUOTE, FLAGS = 0, 1, 2
CONSTANT = 4.0
NATS = (8.0, 7.0, 6.0, 5.0, 5.0, 4.0, 4.0, 3.0)
"""How much a match with the token 1, 2, ... 8 before adds to a score, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Token ids that steer the heads: where a stream and an answer begin, the space before a number, `"`."""

    begin: int
    answer: int
    space: int
    quote: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in the residual stream: the token, one constant dim, then SLOTS codes of equal width.

    The first FLAGS dims of the token, and of each code, are one-hot for the answer marker and the quotation mark.
    """

    width: int
    head: int
    code: int = 20

    @property
    def token(self) -> int:
        """Dims that hold the token; the dim after them is constant."""
        return self.width - SLOTS * self.code - 1

    def slot(self, offset: int) -> slice:
        """The dims that hold the code of the token `offset` (1 to 8) before."""
        start = self.token + 1 + (offset - 1) * self.code
        return slice(start, start + self.code)


@dataclass(frozen=True, slots=True)
class Gate:
    """What a head's query adds to its score for the first token of the stream, where it rests when nothing matches.

    `base` always; the rest per flag, for each place (0 is the token itself, 1 the one before) where the flag is.
    `space` is for the space before a number, where heads that start an answer go on.
    """

    base: float
    answer: float = 0.0
    answer_places: range = range(0)
    quote: float = 0.0
    quote_places: range = range(0)
    space: float = 0.0

    def flags(self) -> Iterator[tuple[int, int, float]]:
        """(flag, place, nats) of every flag that moves the gate."""
        for place in self.answer_places:
            yield ANSWER, place, self.answer
        for place in self.quote_places:
            yield QUOTE, place, self.quote


SHIFTS = {"next": (-1,), "same": (0,), "quote": (1,), "bridge": (-1, 1)}
"""Where a query keeps the token that a key keeps at an offset: one place nearer, at the same place, one further.

A bridge does two of them, for the second to sixth token of a quote: part of its context lies before the question's end.
"""

GATES = {
    "near": Gate(14.0),
    "next": Gate(22.0, answer=14.0, answer_places=range(3), quote=14.0, quote_places=range(1, 4)),
    "same": Gate(80.0, answer=-68.0, answer_places=range(4), quote=60.0, quote_places=range(1, 5), space=-68.0),
    "quote": Gate(100.0, answer=-45.0, answer_places=range(4), quote=-45.0, quote_places=range(1, 5)),
    "bridge": Gate(100.0, answer=-45.0, answer_places=range(1, 6), quote=-45.0, quote_places=range(2, 7)),
}


def config(
    *,
    vocabulary: int,
    width: int = 256,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int = 1,
    head: int = 256,
    mlp: int = 256,
) -> LlamaConfig:
    """The shape of the bundled model: a window of 1,024, rotary base 10,000, tied embeddings."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head,
        intermediate_size=mlp,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=0,
        eos_token_id=3,
        pad_token_id=3,
    )
