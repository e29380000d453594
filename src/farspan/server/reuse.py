"""Reads a conversation from where it, or one that begins alike, was read before; and keeps what was read for others.

Whatever is done here is done by a job that has the turn, so that nothing here takes a lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from farspan.engine import Session
from farspan.engine.conversation import Markup, Part, Passage
from farspan.engine.scoring import CLOSELY
from farspan.server.cutting import Stop, stops
from farspan.server.held import Held
from farspan.server.prefixes import Node, furthest
from farspan.server.room import Kept, Room
from farspan.server.shelf import Shelf
from farspan.server.turns import Turns
from farspan.text import Document
from farspan.types import ProgressCallback

_LONG_CHARS = 8_192


@dataclass(slots=True)
class Place:
    """A session on its way along the tree: `held` stands at `node`, and `cached` tokens it did not have to read.

    `changes` are those of the root when it set out. What it reads is kept in `folder`, if there is one.
    """

    held: Held[Session]
    node: Node
    cached: int
    changes: int
    folder: Path | None

    @property
    def current(self) -> bool:
        """Whether what the conversation stands behind is still what it was."""
        return self.node.root.changes == self.changes


class Reuse:
    """Keeps sessions that have read something, as far as there is room, and on a shelf those that read much.

    `hits` and `queries` count conversations.
    """

    def __init__(self, turns: Turns, room: Room, shelf: Shelf) -> None:
        self.hits = self.queries = 0
        self._turns = turns
        self._room = room
        self._shelf = shelf
        self._nodes: dict[Node, None] = {}
        room.keepers.append(self.kept)

    @contextmanager
    def read(
        self,
        root: Node,
        begin: Callable[[Path | None], Session],
        parts: Sequence[Part],
        need: int,
        progress: ProgressCallback | None = None,
    ) -> Iterator[Place]:
        """Read a conversation up to its last markup, and have a session that stands there, to be answered from.

        `begin` begins the first session of this root, in a folder where it will be kept. `need` is how many bytes this
        may take, which is not taken while another is about to get further with it and is waited for. The session is
        given up in the end unless `keep` has been called for it.
        """
        while True:
            while (coming := furthest(root, parts)[0].coming) is not None:
                self._turns.wait(coming)
            with self._room.taking(need):
                started = self._start(root, begin, parts)
                if started is not None:
                    with self._reading(*started, progress) as place:
                        yield place
                    return

    @contextmanager
    def _reading(self, place: Place, rest: list[Part], progress: ProgressCallback | None) -> Iterator[Place]:
        coming: list[Node] = []
        end = place.node
        try:
            planned = self._planned(place, rest, coming)
            end = planned[-1][1] if planned else end
            for stop, node in planned:
                self._take(place, stop, progress)
                place.node = node
                if stop.noted:
                    self._note(place)
            last = rest[-1]
            if isinstance(last, Markup):
                _end_turn(place.held.session, last)
                place.held.session.put(last.ids)
                place.node = place.node.behind(last)
            yield place
        finally:
            self._end(coming)
            end.prune()
            place.held.release()
            place.node.prune()

    def keep(self, place: Place, reply: str) -> None:
        """The session has answered: who goes on with this conversation takes it up there."""
        if not place.current:
            return
        node = place.node.behind(Passage(reply))
        if node.held is None:
            self._put(node, place.held.hold())
            node.moves = True
            self._room.shrink()

    def kept(self) -> Iterator[Kept]:
        """The sessions in memory; those that no other depends on are free to go."""
        for node in [node for node in self._nodes if node.held is None]:
            del self._nodes[node]
        for node in list(self._nodes):
            if node.held is not None:
                free = node.held.holders == 1
                session = node.held.session
                yield Kept(node.used, session.own_bytes, session.open_files, partial(self._give_up, node), free)

    def drop(self, root: Node) -> None:
        """Give up everything behind this root, on disk too, and what is being read there: the root holds another."""
        root.changes += 1
        for node in list(_below(root)):
            self._give_up(node)
            self._shelf.forget(node)

    def close(self, root: Node) -> None:
        """Give up what is in memory behind this root; what lies on disk stays there."""
        for node in list(_below(root)):
            self._give_up(node)

    def _start(
        self, root: Node, begin: Callable[[Path | None], Session], parts: Sequence[Part]
    ) -> tuple[Place, list[Part]] | None:
        """The furthest place that something has read, with a session to go on with; None where that is being read."""
        held = None
        while held is None:
            node, rest = furthest(root, parts)
            if node.coming is not None:
                return None
            held = self._taken(node)
            if node is root:
                break
        self.queries += 1
        folder = self._shelf.new() if _is_long(rest) and root.identity else None
        if held is None:
            session = begin(folder)
            session.put(())  # what is read is all there is: it adds nothing of the chat template
            return Place(Held(session, closed=self._shelf.tidy), node, 0, root.changes, session.path), rest
        self.hits += 1
        session = held.session
        folder = session.path or (folder if session.budget.has_disk else None)
        return Place(held, node, session.counts.seen, root.changes, folder), rest

    def _taken(self, node: Node) -> Held[Session] | None:
        """The session of a node, to go on with: itself where it moves, otherwise a fork."""
        if node.held is None and node.folder is not None:
            session = self._shelf.open(node)
            if session is not None:
                self._put(node, Held(session, closed=self._shelf.tidy))
        held = node.held
        if held is None:
            return None
        node.used = time.monotonic()
        if not node.moves:
            return held.fork()
        node.held, node.moves = None, False
        return held

    def _planned(self, place: Place, rest: Sequence[Part], coming: list[Node]) -> list[tuple[Stop, Node]]:
        """What is to be read, each with its node; those that will be noted are `coming`."""
        node, planned = place.node, []
        for stop in stops(rest[:-1] if isinstance(rest[-1], Markup) else rest):
            node = node.behind(stop.part)
            planned.append((stop, node))
            if stop.noted and not node.readable:
                node.reading = Event()
                coming.append(node)
        return planned

    def _take(self, place: Place, stop: Stop, progress: ProgressCallback | None) -> None:
        session, part = place.held.session, stop.part
        _end_turn(session, part)
        if isinstance(part, Markup) and len(part.ids) > CLOSELY:
            session.read(part.ids)
            session.put(())
        elif isinstance(part, Markup):
            session.put(part.ids)
        elif stop.cited and part.name is not None:
            session.read(Document.from_text(part.text, part.name, rest=part.rest), progress)
            session.put(())
        else:
            session.put(session.model.encoder.encode(part.text).ids)

    def _note(self, place: Place) -> None:
        """Keep what was read up to here, and where that is the last time, on the shelf if it goes there."""
        node, held = place.node, place.held
        if node.held is not None or node.folder is not None or not place.current:
            return
        held.session.read(())  # what waits to be read would be read by everyone who goes on from here
        held.session.put(())
        last = node.reading is not None and not any(child.reading for child in _below(node))
        if last and place.folder is not None and held.session.path is not None:
            place.held = held.fork()  # a session that has a folder stays there
            self._put(node, held)
            held.session.commit()
            self._shelf.label(node, place.folder)
        else:
            self._put(node, held.fork())
            if last and place.folder is not None:
                self._shelf.add(node, held.session, place.folder)
        if node.reading is not None:
            node.reading.set()
            node.reading = None
        self._room.shrink()

    def _end(self, coming: Sequence[Node]) -> None:
        for node in coming:
            if node.reading is not None:
                node.reading.set()
                node.reading = None
            node.prune()

    def _put(self, node: Node, held: Held[Session]) -> None:
        node.held, node.used = held, time.monotonic()
        self._nodes[node] = None

    def _give_up(self, node: Node) -> None:
        if node.held is not None:
            node.held.release()
            node.held, node.moves = None, False
        node.prune()


def _end_turn(session: Session, part: Part) -> None:
    """Tell the session where an answer has been read, or written, before this part."""
    if isinstance(part, Markup) and part.ends_turn:
        session.end_turn()


def _is_long(parts: Sequence[Part]) -> bool:
    """Whether reading this takes so long that it is worth a folder."""
    return sum(len(part.text) for part in parts if isinstance(part, Passage)) >= _LONG_CHARS


def _below(node: Node) -> Iterator[Node]:
    """All nodes behind this one, the furthest first."""
    found, ahead = [], [node]
    while ahead:
        children = list(ahead.pop().children.values())
        found += children
        ahead += children
    yield from reversed(found)
