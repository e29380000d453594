"""What was read before, by its content: a tree of the parts that conversations begin with.

A node stands for the parts on the way to it. A session that has read just those may be there, in memory or in a folder,
or another request may be reading them. Nothing here takes a lock: who looks has the turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import NamedTuple

from farspan.engine import Session
from farspan.engine.conversation import Markup, Part, Passage
from farspan.server.held import Held

_PIECE = 1 << 20


class Text(NamedTuple):
    """A passage in short: whose it is, its length in characters, and a hash."""

    name: str | None
    length: int
    digest: str


Key = Markup | Text


@dataclass(eq=False)
class Node:
    """The end of a beginning. `held` has read it, or the session in `folder`; `reading` is set when who reads it ends.

    A session that `moves` is at its last word: who goes on from there takes it. `identity` says what a root is for, and
    `changes` how often what it holds has become another: what was read behind an earlier one is of no use.
    """

    identity: str = ""
    parent: Node | None = None
    key: Key | None = None
    held: Held[Session] | None = None
    moves: bool = False
    folder: Path | None = None
    reading: Event | None = None
    used: float = 0.0
    changes: int = 0
    children: dict[Key, Node] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether something has read it, or is about to."""
        return bool(self.held or self.folder or self.reading)

    @property
    def coming(self) -> Event | None:
        """Where something is about to read it, and nothing has yet, what is set when that ends."""
        return self.reading if self.held is None else None

    @property
    def root(self) -> Node:
        """The node without a parent."""
        node = self
        while node.parent is not None:
            node = node.parent
        return node

    def child(self, key: Key) -> Node:
        """The node behind this part, which is made if there is none."""
        return self.children.setdefault(key, Node(parent=self, key=key))

    def behind(self, part: Part) -> Node:
        """The node behind this part, which is made if there is none."""
        if isinstance(part, Markup):
            return self.child(part)
        ((length, digest),) = _digests(part.text, [len(part.text)])
        return self.child(Text(part.name, length, digest))

    def onwards(self, parts: Sequence[Part]) -> Iterator[tuple[Node, list[Part]]]:
        """The nodes behind the first part or a beginning of it, each with what is left of the parts then.

        A text that was read without a name goes for one with any.
        """
        first, *later = parts
        if isinstance(first, Markup):
            if first in self.children:
                yield self.children[first], later
            return
        names = dict.fromkeys((first.name, None))
        lengths = {key.length for key in self.children if isinstance(key, Text) and key.name in names}
        for length, digest in _digests(first.text, sorted(lengths)):
            left = [first.after(length), *later] if length < len(first.text) else later
            for name in names:
                node = self.children.get(Text(name, length, digest))
                if node is not None:
                    yield node, left

    def way(self) -> list[Key]:
        """The parts on the way here."""
        keys: list[Key] = []
        node: Node | None = self
        while node is not None and node.key is not None:
            keys.append(node.key)
            node = node.parent
        return keys[::-1]

    def prune(self) -> None:
        """Take it out of the tree, and those above it, where they stand for nothing."""
        node = self
        while node.parent is not None and node.key is not None and not node.readable and not node.children:
            if node.parent.children.get(node.key) is not node:
                return
            del node.parent.children[node.key]
            node = node.parent


def walk(root: Node, parts: Sequence[Part]) -> Iterator[tuple[Node, list[Part]]]:
    """All nodes that stand for a beginning of these parts, whoever cut it, each with what is left to read behind it."""
    ahead = [(root, list(parts))]
    while ahead:
        node, rest = ahead.pop()
        yield node, rest
        if rest and node.children:
            ahead += node.onwards(rest)


def furthest(root: Node, parts: Sequence[Part]) -> tuple[Node, list[Part]]:
    """Of the root and what has been read, or is about to be, the node with least left to read, which is something.

    Among several the one that is in memory.
    """
    found = [(node, rest) for node, rest in walk(root, parts) if rest and (node is root or node.readable)]
    return min(found, key=lambda one: (_left(one[1]), one[0].held is None))


def _left(rest: Sequence[Part]) -> tuple[int, int]:
    """How much is left of the same parts, to be compared."""
    return len(rest), len(rest[0].text) if isinstance(rest[0], Passage) else 0


def _digests(text: str, lengths: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The digest of so many first characters of a text, for ascending lengths, as far as the text goes."""
    hashed, at = blake2b(digest_size=16), 0
    for length in lengths:
        if length > len(text):
            return
        for start in range(at, length, _PIECE):
            hashed.update(text[start : min(length, start + _PIECE)].encode("utf-8", "surrogatepass"))
        at = length
        yield length, hashed.copy().hexdigest()
