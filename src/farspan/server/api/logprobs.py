"""How likely tokens were, as OpenAI's two completion routes have it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from farspan.engine.likely import Likely

_LEAST = -9999.0  # what stands for the logarithm of 0, which JSON has no number for


def of_chat(tokenizer: Any, likely: Sequence[Likely]) -> dict[str, Any]:
    """The `logprobs` member of a chat's choice."""
    content = [
        {**_token(tokenizer, one.id, one.logprob), "top_logprobs": [_token(tokenizer, *pair) for pair in one.top]}
        for one in likely
    ]
    return {"content": content, "refusal": None}


def of_text(tokenizer: Any, ids: Sequence[int], likely: Sequence[Likely | None], at: int = 0) -> dict[str, Any]:
    """The `logprobs` member of a text completion's choice; the first token begins at character `at` of the text."""
    tokens = [tokenizer.decode([id_]) for id_ in ids]
    starts = [at, *(at + end for end in accumulate(map(len, tokens)))][: len(tokens)]
    return {
        "tokens": tokens,
        "token_logprobs": [one and max(one.logprob, _LEAST) for one in likely],
        "top_logprobs": [one and _by_token(tokenizer, one) for one in likely],
        "text_offset": starts,
    }


def _token(tokenizer: Any, id_: int, logprob: float) -> dict[str, Any]:
    """A token; one that is part of a letter has no text of its own, and its bytes are not told."""
    text = tokenizer.decode([id_])
    encoded = None if "\ufffd" in text else list(text.encode())
    return {"token": text, "logprob": max(logprob, _LEAST), "bytes": encoded}


def _by_token(tokenizer: Any, likely: Likely) -> dict[str, float]:
    """The most likely tokens by their text; of those with the same text (parts of a letter), the likeliest counts."""
    found: dict[str, float] = {}
    for id_, logprob in likely.top:
        found.setdefault(tokenizer.decode([id_]), max(logprob, _LEAST))
    return found
