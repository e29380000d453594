"""Folders of sessions that have read a long text, so that it need not be read again after a restart.

A folder that was not labelled when its session closes, or when the server ended, is of no use and is removed.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from farspan.engine import Session
from farspan.engine.conversation import Markup
from farspan.errors import SessionError, StorageFull
from farspan.folders import write_whole
from farspan.server.prefixes import Key, Node, Text

_LABEL = "prefix.json"


class Shelf:
    """Folders under `folder`, at most `quota` bytes of them; those that were used longest ago go first."""

    def __init__(self, folder: Path, quota: int, opened: Callable[[Path], Session]) -> None:
        self.folder = folder
        self.quota = quota
        self._opened = opened
        self._nodes: dict[Path, Node] = {}
        self._sizes: dict[Path, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def new(self) -> Path:
        """A folder that is not there yet."""
        return self.folder / uuid.uuid4().hex

    def load(self, root: Callable[[str], Node]) -> None:
        """Put the folders of earlier runs in the tree; `root` gives the root of an identity."""
        for folder in sorted(self.folder.iterdir()):
            try:
                label = json.loads((folder / _LABEL).read_text(encoding="utf-8"))
                node = root(label["identity"])
                for key in label["keys"]:
                    node = node.child(_key(key))
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            node.folder = folder
            self._nodes[folder] = node

    def label(self, node: Node, folder: Path) -> None:
        """Say what the session in this folder has read, and make room for it."""
        label = {"identity": node.root.identity, "keys": [_plain(key) for key in node.way()]}
        write_whole(folder / _LABEL, json.dumps(label))
        node.folder = folder
        self._nodes[folder] = node
        self._make_room()

    def add(self, node: Node, session: Session, folder: Path) -> None:
        """Write a copy of a session that has read what a node stands for; nothing where the disk does not take it."""
        try:
            with suppress(StorageFull):
                session.save(folder)
                self.label(node, folder)
        finally:
            if folder not in self._nodes:
                shutil.rmtree(folder, ignore_errors=True)

    def open(self, node: Node) -> Session | None:
        """The session of a node's folder; None, and no folder any more, where it cannot be opened."""
        assert node.folder is not None
        try:
            os.utime(node.folder / _LABEL, (time.time(), time.time()))
            return self._opened(node.folder)
        except (OSError, SessionError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # there is nothing wrong with the folder
            self.forget(node)
            return None

    def forget(self, node: Node) -> None:
        """Remove a node's folder, if it has one, and the node if it then stands for nothing."""
        if node.folder is not None:
            self._nodes.pop(node.folder, None)
            self._sizes.pop(node.folder, None)
            shutil.rmtree(node.folder, ignore_errors=True)
            node.folder = None
        node.prune()

    def tidy(self, session: Session) -> None:
        """A session was closed: its folder goes unless it is labelled."""
        if session.path is not None and session.path not in self._nodes:
            shutil.rmtree(session.path, ignore_errors=True)

    def _make_room(self) -> None:
        for folder in self._nodes.keys() - self._sizes.keys():
            self._sizes[folder] = _size(folder)  # once: a session that is labelled stays as it is
        if sum(self._sizes.values()) <= self.quota:
            return
        for folder in sorted(self._nodes, key=lambda folder: (folder / _LABEL).stat().st_mtime):
            if sum(self._sizes.values()) > self.quota and self._nodes[folder].held is None:
                self.forget(self._nodes[folder])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _plain(key: Key) -> Any:
    return list(key.ids) if isinstance(key, Markup) else key._asdict()


def _key(plain: Any) -> Key:
    return Markup(tuple(plain)) if isinstance(plain, list) else Text(**plain)
