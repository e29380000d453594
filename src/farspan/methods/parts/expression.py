"""Methods as text: `"infllm(top_k=32)+int8"` is `infllm(top_k=32) | int8()`, read without `eval`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

from farspan.errors import MethodError
from farspan.methods.parts.method import Method, MethodFactory

_LONGEST = 400
_FORM = "write a name, or a name with keywords such as infllm(top_k=32); join several by +"


def parse(text: str, find: Callable[[str], MethodFactory[Any]]) -> Method:
    """Read an expression; `find` looks a name up. Raises MethodError that quotes what cannot be understood."""
    if len(text) > _LONGEST:
        raise MethodError(f"a method of {len(text):,} characters is too long", fix=_FORM)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        raise MethodError(f"{text!r} is no method", fix=_FORM) from error
    return reduce(lambda left, right: left | right, (_term(node, text, find) for node in _terms(tree)))


def _terms(node: ast.expr) -> Iterable[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.BitOr)):
        yield from _terms(node.left)
        yield from _terms(node.right)
    else:
        yield node


def _term(node: ast.expr, text: str, find: Callable[[str], MethodFactory[Any]]) -> Method:
    keywords = node.keywords if isinstance(node, ast.Call) else []
    name = node.func if isinstance(node, ast.Call) else node
    plain = all(word.arg is not None for word in keywords) and not (isinstance(node, ast.Call) and node.args)
    if not isinstance(name, ast.Name) or not plain:
        raise MethodError(f"{text!r} is no method", fix=_FORM)
    given: dict[str, object] = {}
    for word in keywords:
        assert word.arg is not None
        if word.arg in given:
            raise MethodError(f"{name.id}: {word.arg} is given twice", fix="leave one of them out")
        given[word.arg] = _value(word, name.id)
    return find(name.id)(**given)


def _value(word: ast.keyword, method: str) -> object:
    if isinstance(word.value, ast.Name):
        return word.value.id
    try:
        return ast.literal_eval(word.value)
    except (ValueError, TypeError, RecursionError) as error:
        raise MethodError(f"{method}: {word.arg} is neither a number nor a word", fix=_FORM) from error
