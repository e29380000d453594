"""A tiny random Llama with a byte-level tokenizer, and what many tests of the engine ask of it.

Everything is built on first use and the same in every process, so that sessions can be handed from one to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as kinds
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from farspan import methods
from farspan.attention.adapter import HostedModel
from farspan.engine import Model, Session
from farspan.errors import BudgetError
from farspan.types import Budget
from tests.attention.families import build

WINDOW = 128
SPECIAL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>")
VOCABULARY = len(SPECIAL) + 256 + 8
WIDE = 1024
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
HEADS = Path(__file__).parent / "methods" / "heads.json"
Ids = list[int]


def every_method() -> list[str]:
    """All that are installed, with a profile of the heads where one is needed."""
    return [f"{name}(profile={str(HEADS)!r})" if methods.get(name).required else name for name in methods.names()]


@contextmanager
def other_defaults() -> Iterator[None]:
    """As in a program that has set torch's default dtype, and its default device to one that computes nothing."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            yield
    finally:
        torch.set_default_dtype(usual)


@cache
def tokenizer(template: bool = True) -> PreTrainedTokenizerFast:
    """Bytes and eight merges; characters beyond ASCII take several tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("e", "r"), ("a", "n"), ("an", "d"), ("Ġ", "and")]
    pieces = [*SPECIAL, *alphabet, *(left + right for left, right in merges)]
    inner = Tokenizer(kinds.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(SPECIAL))
    outer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|pad|>")
    outer.chat_template = TEMPLATE if template else None
    return outer


def llama(**options: Any) -> Any:
    """A random Llama over that tokenizer's vocabulary, trained on nothing, with a window of 128."""
    settings = {"vocab_size": VOCABULARY, "max_position_embeddings": WINDOW, "num_hidden_layers": 2, "eos_token_id": 3}
    return build("Llama", **{**settings, **options})


@cache
def model() -> Model:
    """The tiny model, shared: sessions leave it as it is."""
    return Model(llama(), tokenizer(), "tiny")


@cache
def wide() -> Model:
    """The same with a vocabulary of 1,024 that its tokenizer does not know, for long texts of different tokens."""
    return Model(llama(vocab_size=WIDE), tokenizer(), "wide")


def random_ids(count: int, seed: int = 0, vocabulary: int = VOCABULARY) -> Ids:
    """A text of random tokens, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(SPECIAL), vocabulary, (count,), generator=generator).tolist()


def different_ids(count: int, seed: int = 0, vocabulary: int = VOCABULARY) -> Ids:
    """A text in which no token comes twice, so that no two keys of the first layer are equal."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randperm(vocabulary - len(SPECIAL), generator=generator)[:count] + len(SPECIAL)).tolist()


def least_budget(make: Callable[[Budget], Session]) -> int:
    """The smallest device budget in bytes that a session can be made with."""
    low, high = 0, 1
    while not _takes(make, high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _takes(make, middle) else (middle, high)
    return high


def _takes(make: Callable[[Budget], Session], size: int) -> bool:
    try:
        make(Budget(size)).close()
    except BudgetError:
        return False
    return True


@torch.no_grad()
def eager(hosted: Any, ids: Iterable[int]) -> Tensor:
    """The logits `[T, V]` of transformers' own attention over the whole text at once."""
    hosted.set_attn_implementation("eager")
    logits: Tensor = hosted(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return logits


def stream(hosted: HostedModel, handlers: list[Any], ids: Ids, chunk: int) -> Tensor:
    """The logits of every token, when each layer's attention is answered by one of `handlers`, chunk by chunk."""
    parts = [
        hosted.forward(torch.tensor(ids[start : start + chunk]), start, handlers, "all")
        for start in range(0, len(ids), chunk)
    ]
    return torch.cat([part for part in parts if part is not None])
