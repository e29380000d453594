"""Models of a known shape with random weights: speed does not depend on what a model knows, and nothing is fetched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from tokenizers import models as kinds
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.engine import Model
from farspan.errors import UsageError, nearest

_SEED, _EMBEDDINGS, _LAST = 0, 50.0, 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomShape:
    """A Llama: layers, widths, heads, and the window that it says it was trained for."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    mlp: int
    vocabulary: int
    tied: bool
    window: int = 8192

    def config(self) -> LlamaConfig:
        """The model's configuration; rotary angles are those of every version of transformers."""
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head,
            intermediate_size=self.mlp,
            max_position_embeddings=self.window,
            tie_word_embeddings=self.tied,
        )


SHAPES = {
    "llama-135m": RandomShape(
        layers=30, width=576, heads=9, kv_heads=3, head=64, mlp=1536, vocabulary=49_152, tied=True
    ),
    "llama-8b": RandomShape(
        layers=32, width=4096, heads=32, kv_heads=8, head=128, mlp=14_336, vocabulary=128_256, tied=False
    ),
}


def random_model(name: str, *, window: int | None = None, dtype: str | None = None, device: str | None = None) -> Model:
    """A model of a named shape, always with the same weights.

    `dtype` None is float32 on a CPU and bfloat16 on a GPU; `device` None is a GPU where there is one. Raises
    UsageError for a shape that is not known.
    """
    if name not in SHAPES:
        raise UsageError(f"there is no shape {name!r}", fix=nearest(name, SHAPES))
    shape = SHAPES[name]
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    wanted = getattr(torch, dtype or ("float32" if target.type == "cpu" else "bfloat16"))
    weights = _random_llama(shape if window is None else replace(shape, window=window), wanted, target)
    return Model(weights, _numbers(shape.vocabulary), name)


def _random_llama(shape: RandomShape, dtype: torch.dtype, device: torch.device) -> LlamaForCausalLM:
    """Weights by which every token is followed by another: usual ones repeat one for ever, and look up the same keys.

    Embeddings are larger than what layers add to them, and what the last layer makes of them is by far larger still.
    """
    usual = torch.get_default_dtype()
    with torch.random.fork_rng(), device:
        torch.manual_seed(_SEED)
        try:
            torch.set_default_dtype(dtype)
            model = LlamaForCausalLM(shape.config()).eval()
        finally:
            torch.set_default_dtype(usual)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(_EMBEDDINGS)
        model.model.layers[-1].mlp.down_proj.weight.mul_(_LAST)
    return model


def _numbers(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer in which every id is a word: its own number."""
    words = kinds.WordLevel({str(number): number for number in range(vocabulary)}, unk_token="0")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words))
