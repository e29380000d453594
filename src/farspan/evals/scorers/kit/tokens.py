"""A text as the words that token scores compare."""

from __future__ import annotations

import re

# Chinese, Japanese and Korean are not written with spaces: each sign is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_MARKS = re.compile(r"[^\w\s]|_")
_ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """Runs of letters and digits, without regard to case."""
    return _WORD.findall(text.casefold())


def squad_words(text: str) -> list[str]:
    """Words as SQuAD counts them: punctuation is taken out (`U.S.` is `us`), and so are the articles."""
    return [word for word in _WORD.findall(_MARKS.sub("", text.casefold())) if word not in _ARTICLES]
