"""A copy of a tokenizer that reads every text as plain text.

A document may hold "</s>" or "<|assistant|>". Were these to become the control tokens of that name, a document could
speak as the user or the system. In the copy no text reaches a control token, whichever way the tokenizer knows it:
as an added token, as an entry of the vocabulary, or as the product of a merge.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from farspan.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BRACKETS = {"<": ">", "[": "]", "{": "}"}


def raw_backend(tokenizer: Any) -> Tokenizer:
    """The Rust tokenizer behind a Hugging Face fast tokenizer, copied, without post-processing; it adds no tokens.

    Spans come out untrimmed, so that a token that begins with a space covers it. ModelError when the tokenizer is not
    a fast one: the slow ones give no spans.
    """
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(_spec(tokenizer)))


def plain_backend(tokenizer: Any) -> Tokenizer:
    """The same without control tokens."""
    from tokenizers import Tokenizer

    spec = _spec(tokenizer)
    template = str(getattr(tokenizer, "chat_template", None) or "")
    controls = [token for token in spec["added_tokens"] if is_control(token, template)]
    names = {token["content"]: _unreachable(token["id"]) for token in controls}
    for token in controls:
        token["content"] = names[token["content"]]
    _rename_in_model(spec["model"], names)
    return Tokenizer.from_str(json.dumps(spec))


def _spec(tokenizer: Any) -> dict[str, Any]:
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelError(
            f"{type(tokenizer).__name__} is not a fast tokenizer, and only those tell which characters a token covers",
            fix="use a model folder that has a tokenizer.json",
        )
    spec: dict[str, Any] = json.loads(backend.to_str())
    spec.update(truncation=None, padding=None, post_processor=None)
    return spec


def is_control(token: dict[str, Any], template: str) -> bool:
    """Whether an added token steers the model: marked special, used by the chat template, or written as <...>.

    Others, such as the runs of spaces of GPT-NeoX or words that a user added, are text.
    """
    content = token["content"]
    if not content.strip("\u2581 \t\r\n"):
        return False
    bracketed = len(content) > 2 and _BRACKETS.get(content[0]) == content[-1]
    return bool(token["special"]) or bracketed or content in template


def _unreachable(number: int) -> str:
    return f"\0farspan-control-{number}\0"


def _rename_in_model(model: dict[str, Any], names: dict[str, str]) -> None:
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        inside = names.keys() & vocabulary.keys()
        model["vocab"] = (
            {names.get(piece, piece): number for piece, number in vocabulary.items()} if inside else vocabulary
        )
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary or []]
        inside = set(names)
    if model.get("unk_token") in inside:
        model["unk_token"] = names[model["unk_token"]]
    if inside and "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not _touches(merge, inside)]


def _touches(merge: str | list[str], names: set[str]) -> bool:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left + right in names or left in names or right in names
