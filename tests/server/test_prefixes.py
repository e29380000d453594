"""The tree of what was read: the longest beginning is found, whoever cut it; what stands for nothing goes."""

from __future__ import annotations

from itertools import pairwise
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farspan.engine.conversation import Markup, Part, Passage
from farspan.server.prefixes import Node, furthest

HEAD, TAIL, END = Markup((1,)), Markup((2,)), Markup((3,))


def put(root: Node, *parts: Part) -> Node:
    """A node behind these parts, which something reads."""
    node = root
    for part in parts:
        node = node.behind(part)
    node.reading = Event()
    return node


def found(root: Node, *parts: Part) -> tuple[Node, list[Part]]:
    """The furthest node, and what is left."""
    node, rest = furthest(root, [*parts, END])
    assert rest.pop() == END
    return node, rest


def test_a_text_that_begins_alike_goes_on_from_there() -> None:
    root = Node()
    read = put(root, HEAD, Passage("The whole book.\n\n", "m"))
    node, rest = found(root, HEAD, Passage("The whole book.\n\nWho did it?\nAnd why?", "m"), TAIL)
    assert node is read
    assert rest == [Passage("Who did it?\nAnd why?", "m", (17, 2)), TAIL]


def test_another_text_does_not() -> None:
    root = Node()
    put(root, HEAD, Passage("The whole book.", "m"))
    for other in (Passage("The whole bool.", "m"), Passage("The whole", "m"), Passage("The whole book.", "other")):
        node, rest = found(root, HEAD, other)
        assert node is root
        assert rest == [HEAD, other]


def test_what_was_read_without_a_name_goes_for_any() -> None:
    root = Node()
    read = put(root, HEAD, Passage("Hello."))
    assert found(root, HEAD, Passage("Hello.", "message 1"))[0] is read


@pytest.mark.parametrize("name", ["m", None])
@pytest.mark.parametrize("dead_end", [["ab"], ["a", "b"], ["abc"], ["abcd", "e"]])
def test_a_way_that_leads_nowhere_hides_none_that_leads_on(name: str | None, dead_end: list[str]) -> None:
    root = Node()
    elsewhere = [Passage(text, "m") for text in dead_end]
    put(root, HEAD, *elsewhere, TAIL, Passage("another", "m"))
    read = put(root, HEAD, Passage("ab", name), Passage("cd", name))
    assert found(root, HEAD, Passage("abcdef", "m"), TAIL) == (read, [Passage("ef", "m", (4, 0)), TAIL])


@given(st.text("ab\n", max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_pieces_are_found_again_however_they_were_cut(text: str, cuts: list[int]) -> None:
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [Passage(text[low:high], "m") for low, high in pairwise(bounds)]
    root = Node()
    read = put(root, HEAD, *pieces, TAIL)
    if text:
        assert found(root, HEAD, Passage(text, "m"), TAIL)[0] is read


def test_what_stands_for_nothing_any_more_goes_and_the_rest_stays() -> None:
    root = Node()
    gone, stays = put(root, HEAD, Passage("a", "m"), TAIL), put(root, HEAD, Passage("b", "m"))
    gone.reading = None
    gone.prune()
    assert found(root, HEAD, Passage("b", "m"))[0] is stays
    assert found(root, HEAD, Passage("a", "m")) == (root, [HEAD, Passage("a", "m")])
    stays.reading = None
    stays.prune()
    assert not root.children


def test_the_way_to_a_node_leads_to_it() -> None:
    root = Node()
    read = put(root, HEAD, Passage("a", "m"), TAIL)
    node = root
    for key in read.way():
        node = node.child(key)
    assert node is read
    assert node.root is root
