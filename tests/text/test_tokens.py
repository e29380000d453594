"""Streaming tokenisation gives what tokenising at once gives, with spans, and never a control token."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AddedToken, PreTrainedTokenizerFast

from farspan.errors import InputError, ModelError
from farspan.text import TextEncoder, TokenPiece, encode_pieces

ENCODERS: dict[str, TextEncoder] = {}
KINDS = ["gpt2", "llama3", "digits", "metaspace", "llama2"]
WORDS = st.sampled_from(
    "the| lighthouse| |  |\n|\r\n|\t|it's|'ll|12345|7|.|...|!?|é|e\u0301|漢字|かな|🦜|👩\u200d👧|</s>|<|assistant|>|<s>"
    "|def f(x):\n    |Zwölf|ABCdef|\u00a0|\u3000|<|assistant|>".replace("<|assistant|>", "\0").split("|")
).map(lambda word: word.replace("\0", "<|assistant|>"))
TEXTS = st.one_of(st.lists(WORDS, max_size=120).map("".join), st.text(max_size=300))


def joined(pieces: list[TokenPiece]) -> TokenPiece:
    return TokenPiece(*(list(chain.from_iterable(piece[part] for piece in pieces)) for part in range(3)))


def pieces_of(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS, size=st.integers(1, 40))
def test_streaming_equals_tokenising_at_once(kind: str, tokenizers: Any, text: str, size: int) -> None:
    encoder = ENCODERS.setdefault(kind, TextEncoder(tokenizers[kind], window=64, bound=256))
    whole = ENCODERS.setdefault(f"{kind} at once", TextEncoder(tokenizers[kind])).encode(text)
    assert joined(list(encoder.stream(pieces_of(text, size)))) == whole
    assert encoder.encode(text) == whole
    expected = tokenizers[kind](text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert whole.ids == expected


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(text=TEXTS, size=st.integers(1, 40))
def test_control_tokens_are_recognised_where_they_are_wanted(kind: str, tokenizers: Any, text: str, size: int) -> None:
    encoder = ENCODERS.setdefault(f"{kind} raw", TextEncoder(tokenizers[kind], window=64, bound=256, controls=True))
    expected = tokenizers[kind](text, add_special_tokens=False)["input_ids"]
    assert joined(list(encoder.stream(pieces_of(text, size)))).ids == expected


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS, data=st.data())
def test_going_on_in_the_middle_gives_the_same_tokens(kind: str, tokenizers: Any, text: str, data: Any) -> None:
    encoder = ENCODERS.setdefault(kind, TextEncoder(tokenizers[kind], window=64, bound=256))
    whole = encoder.encode(text)
    safe = [i for i in range(1, len(whole.ids)) if whole.ends[i - 1] <= whole.starts[i] < len(text)]
    if not safe:
        return
    index = data.draw(st.sampled_from(safe))
    at = whole.starts[index]
    rest = joined(list(encoder.stream([text[at:]], offset=at, context=text[:at])))
    assert rest == TokenPiece(*(part[index:] for part in whole))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_spans_are_monotone_and_cover_the_text(kind: str, tokenizers: Any, text: str) -> None:
    encoder = ENCODERS.setdefault(kind, TextEncoder(tokenizers[kind], window=64, bound=256))
    _, starts, ends = joined(list(encoder.stream([text], offset=7)))
    assert starts == sorted(starts) and ends == sorted(ends)
    assert all(7 <= start <= end <= 7 + len(text) for start, end in zip(starts, ends, strict=True))
    covered = {at for start, end in zip(starts, ends, strict=True) for at in range(start - 7, end - 7)}
    if kind in ("gpt2", "digits"):
        assert covered == set(range(len(text)))


def test_the_bytes_of_one_character_share_its_span(tokenizers: Any) -> None:
    ids, starts, ends = TextEncoder(tokenizers["gpt2"]).encode("a🦜b")
    assert len(ids) > 3
    assert list(zip(starts, ends, strict=True)) == [(0, 1), *[(1, 2)] * (len(ids) - 2), (2, 3)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_without_white_space_makes_progress(kind: str, tokenizers: Any) -> None:
    text = "abc漢" * 50_000
    batches = list(encode_pieces(tokenizers[kind], pieces_of(text, 65_536)))
    assert len(batches) > 1
    _, starts, ends = joined(batches)
    assert starts[0] == 0 and ends[-1] == len(text)
    assert all(before <= after for before, after in pairwise(starts))
    assert joined(batches).ids == TextEncoder(tokenizers[kind]).encode(text).ids


def test_a_text_of_unknown_characters_makes_progress(tokenizers: Any) -> None:
    encoder = TextEncoder(tokenizers["metaspace"], window=64, bound=256)
    batches = list(encoder.stream(["\u0e01" * 100] * 30))
    assert batches[-1].ends[-1] == 3000


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_some_thousand_tokens(kind: str, tokenizers: Any) -> None:
    text = "The keeper counted 12345 waves.\n" * 4_000
    batches = list(encode_pieces(tokenizers[kind], pieces_of(text, 65_536)))
    assert max(len(batch.ids) for batch in batches) <= 20_480
    assert joined(batches) == TextEncoder(tokenizers[kind]).encode(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["</s>", "say </s> and <s>", "<|assistant|>yes", "x<|assistant|>\n</s></s>", "<think>hm</think>"]
)
def test_text_never_becomes_a_control_token(kind: str, text: str, tokenizers: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizers[kind].backend_tokenizer.to_str())
    )
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    controls = set(tokenizer.added_tokens_decoder) - {tokenizer.convert_tokens_to_ids("<unk>")}
    assert controls & set(tokenizer(text, add_special_tokens=False)["input_ids"])
    piece = TextEncoder(tokenizer).encode(text)
    assert not controls & set(piece.ids)
    assert (piece.starts[0], piece.ends[-1]) == (0, len(text))


def test_a_unigram_vocabulary_does_not_betray_control_tokens() -> None:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), *((letter, -5.0) for letter in "</s>ab")]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram(pieces, unk_id=0)), eos_token="</s>")
    assert TextEncoder(tokenizer).encode("a</s>").ids == [6, 2, 3, 4, 5]


def test_a_control_token_that_merges_make_is_not_made() -> None:
    vocab = {piece: number for number, piece in enumerate(["<", "x", ">", "<x", "<x>"])}
    backend = Tokenizer(models.BPE(vocab, [("<", "x"), ("<x", ">")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<x>")
    assert TextEncoder(tokenizer).encode("<x>").ids == [3, 2]


def test_added_tokens_that_are_text_stay(tokenizers: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizers["gpt2"].backend_tokenizer.to_str())
    )
    tokenizer.add_tokens(["<tool>", "    ", "farspan"])
    tokenizer.chat_template = "{{ '<tool>' }}"
    spaces, word = tokenizer.convert_tokens_to_ids(["    ", "farspan"])
    ids = TextEncoder(tokenizer).encode("a<tool>    farspan").ids
    assert ids[-2:] == [spaces, word]
    assert tokenizer.convert_tokens_to_ids("<tool>") not in ids


def test_a_word_of_the_chat_template_is_text(tokenizers: Any) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizers["gpt2"].backend_tokenizer.to_str())
    )
    tokenizer.add_tokens(["[INST"])
    tokenizer.chat_template = "[INST {{ messages }}"
    assert tokenizer.convert_tokens_to_ids("[INST") not in TextEncoder(tokenizer).encode("[INST").ids


def test_the_users_tokenizer_is_left_as_it_was(tokenizers: Any) -> None:
    before = json.loads(tokenizers["gpt2"].backend_tokenizer.to_str())
    list(encode_pieces(tokenizers["gpt2"], ["some text"]))
    assert json.loads(tokenizers["gpt2"].backend_tokenizer.to_str()) == before


@pytest.mark.parametrize(("text", "words"), [("caf\udce9", "byte 0xe9 behind 'caf'"), ("a \ud800", "surrogate pair")])
def test_a_text_that_is_none_is_refused(text: str, words: str, tokenizers: Any) -> None:
    with pytest.raises(InputError, match=words):
        TextEncoder(tokenizers["gpt2"]).encode(text)


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(ModelError, match="not a fast tokenizer"):
        TextEncoder(object())
