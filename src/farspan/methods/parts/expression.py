"""Methods as text: `"full[:2]+infllm(top_k=32)"` is `full()[:2] | infllm(top_k=32)`, read without `eval`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem, or_
from typing import Any, NamedTuple

from farspan.errors import MethodError
from farspan.methods.parts.method import Method, MethodFactory

_LONGEST = 400
_FORM = (
    "write a name, or a name with keywords such as infllm(top_k=32), paths in quotes; join several by +, layers as in "
    "full[:2]"
)


class Call(NamedTuple):
    """One name of an expression, its keywords, and what stands in brackets behind it."""

    name: str
    keywords: dict[str, object]
    layers: tuple[object, ...] = ()


def parse(text: str, find: Callable[[str], MethodFactory[Any]]) -> Method:
    """Read an expression; `find` looks a name up. Raises MethodError that quotes what cannot be understood."""
    return reduce(or_, (_made(call, find) for call in calls(text)))


def _made(call: Call, find: Callable[[str], MethodFactory[Any]]) -> Method:
    made: Method = find(call.name)(**call.keywords)
    return reduce(getitem, call.layers, made)


def calls(text: str) -> list[Call]:
    """The names in an expression, each with what belongs to it. Raises MethodError for what is none."""
    if len(text) > _LONGEST:
        raise MethodError(f"a method of {len(text):,} characters is too long", fix=_FORM)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        raise MethodError(f"{text!r} is no method", fix=_FORM) from error
    return list(_calls(tree, text))


def _calls(node: ast.expr, text: str) -> Iterator[Call]:
    if isinstance(node, ast.Subscript):
        index = _index(node.slice)
        yield from (call._replace(layers=(*call.layers, index)) for call in _calls(node.value, text))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.BitOr)):
        yield from _calls(node.left, text)
        yield from _calls(node.right, text)
    else:
        yield _call(node, text)


def _index(node: ast.expr) -> object:
    """What stands in brackets, as `Method[...]` gets it from Python."""
    if isinstance(node, ast.Tuple):
        return tuple(_index(one) for one in node.elts)
    if isinstance(node, ast.Slice):
        return slice(*(part and _index(part) for part in (node.lower, node.upper, node.step)))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError) as error:
        raise MethodError(f"{ast.unparse(node)!r} names no layers", fix=_FORM) from error


def _call(node: ast.expr, text: str) -> Call:
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
    return Call(name.id, given)


def _value(word: ast.keyword, method: str) -> object:
    if isinstance(word.value, ast.Name):
        return word.value.id
    try:
        return ast.literal_eval(word.value)
    except (ValueError, TypeError, RecursionError) as error:
        raise MethodError(f"{method}: {word.arg} is neither a number nor a word nor in quotes", fix=_FORM) from error
