"""A task as text: `needle(needles=4,keys="uuid")`, read without `eval`."""

from __future__ import annotations

import ast
from typing import Any

from farspan.errors import UsageError

_FORM = "write a name, or a name with knobs such as needle(needles=4)"
_LONGEST = 2000


def split(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the knobs of an expression; a bare word is a string. Raises UsageError."""
    wrong = UsageError(f"{text[:80]!r} is no task", fix=_FORM)
    if len(text) > _LONGEST:
        raise wrong
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise wrong from error
    if isinstance(node, ast.Name):
        return node.id, {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise wrong
    knobs: dict[str, Any] = {}
    for word in node.keywords:
        if word.arg is None or word.arg in knobs:
            raise wrong
        knobs[word.arg] = _value(word, node.func.id)
    return node.func.id, knobs


def listed(text: str) -> list[str]:
    """The expressions in a list with commas; commas in brackets or quotes do not part them."""
    parts, depth, quote, start = [], 0, "", 0
    for at, mark in enumerate(text):
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
        elif mark == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _value(word: ast.keyword, name: str) -> Any:
    if isinstance(word.value, ast.Name):
        return word.value.id
    try:
        return ast.literal_eval(word.value)
    except (ValueError, TypeError, RecursionError, SyntaxError) as error:
        raise UsageError(f"{name}: {word.arg} is neither a number nor a word", fix=_FORM) from error
