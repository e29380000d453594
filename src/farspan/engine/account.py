"""What a session says of itself: its method and budget, where its tokens are, what it has read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from farspan.engine.quoting import quote
from farspan.engine.store import Store
from farspan.engine.stream import Stream
from farspan.methods import Method
from farspan.types import Budget, Counts


class Account:
    """The part of a session that changes nothing."""

    _stream: Stream
    _store: Store | None

    @property
    def method(self) -> Method:
        """How it treats what does not fit."""
        return self._stream.kv.settings.method

    @property
    def budget(self) -> Budget:
        """What its KV memory may take."""
        return self._stream.kv.settings.budget

    @property
    def path(self) -> Path | None:
        """The folder that it is committed to."""
        return None if self._store is None else self._store.folder

    @property
    def counts(self) -> Counts:
        """Tokens seen, kept, stored, fetched, dropped, and bytes by tier."""
        return self._stream.counts

    @property
    def own_bytes(self) -> int:
        """Bytes of KV memory that it shares with no session that it was forked from: what closing it frees."""
        return self._stream.kv.own_bytes()

    @property
    def reading_takes(self) -> int:
        """Bytes of KV memory that reading may take, as far as its budget has a limit."""
        settings = self._stream.kv.settings
        if settings.budget.device is None:
            return 0
        return max(0, settings.budget.device.in_bytes(settings.hosted.bytes_per_token) - self.own_bytes)

    @property
    def asking_takes(self) -> int:
        """Bytes that a message and its answer may take: they are read like any text."""
        return self.reading_takes

    @property
    def open_files(self) -> int:
        """File descriptors that closing it frees; its folder's lock is one."""
        return self._stream.open_files + (self._store is not None)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The documents that were read: `file`, `fingerprint`, `chars`, and whether it is `complete`."""
        return self._stream.transcript.files()

    def quote(self, file: str, start: int = 0, end: int | None = None) -> str:
        """The characters `[start, end)` of a document, as a Source counts them. Raises InputError for one not read."""
        return quote(self._stream.transcript.spool, file, start, end)
