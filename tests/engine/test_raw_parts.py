"""A raw prompt in parts: its special tokens, and the text between them with its place in the whole."""

from __future__ import annotations

from farspan.engine.conversation import Markup, Passage, raw_parts
from tests.tiny import tokenizer


def test_special_tokens_of_a_prompt_become_markup_and_texts_keep_their_places() -> None:
    prompt = "<|user|>one\ntwo<|end|><|assistant|>three"
    user, assistant, end = tokenizer().convert_tokens_to_ids(["<|user|>", "<|assistant|>", "<|end|>"])
    before = "<|user|>one\ntwo<|end|><|assistant|>"
    assert raw_parts(tokenizer(), prompt) == [
        Markup((user,)),
        Passage("one\ntwo", "prompt", (len("<|user|>"), 0)),
        Markup((end, assistant)),
        Passage("three", "prompt", (len(before), 1)),
    ]
    assert raw_parts(tokenizer(), "plain") == [Passage("plain", "prompt")]
    assert raw_parts(tokenizer(), "") == []
