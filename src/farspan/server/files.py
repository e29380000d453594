"""Files that clients have uploaded, each in a folder of its own under its owner's."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from farspan.server.asked import NotFound, TooLarge
from farspan.server.whole import made, remove, sweep
from farspan.text import Document
from farspan.types import format_bytes

_DATA, _ABOUT = "data", "about.json"
_ID = re.compile(r"file-[0-9a-f]{32}")
_LONGEST_NAME, _LONGEST_SUFFIX = 200, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as OpenAI's clients know it, and the hash of its bytes."""

    id: str
    filename: str
    bytes: int
    sha256: str
    created_at: int
    purpose: str
    object: str = "file"
    status: str = "processed"


class Files:
    """All files under `folder`; one may have `most` bytes."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self.most = most
        self._begun = time.time()

    async def add(self, owner: str, name: str, purpose: str, pieces: AsyncIterator[bytes]) -> StoredFile:
        """Take in a file. Raises TooLarge, and InputError where it cannot be read as text; nothing of it stays then."""
        id_, name = f"file-{uuid.uuid4().hex}", plain_name(name)
        with made(self.folder / owner / id_) as folder:
            size, digest = await self._written(folder / _DATA, pieces)
            path = (folder / _DATA).rename(folder / f"{_DATA}{_suffix(name)}")
            await asyncio.to_thread(Document.from_path, path, name=name)
            stored = StoredFile(
                id=id_, filename=name, bytes=size, sha256=digest, created_at=int(time.time()), purpose=purpose
            )
            (folder / _ABOUT).write_text(json.dumps(asdict(stored)), encoding="utf-8")
        return stored

    def all(self, owner: str) -> list[StoredFile]:
        """The files of an owner, the latest first."""
        found = []
        for path in (self.folder / owner).glob(f"file-*/{_ABOUT}"):
            with suppress(NotFound):  # deleted meanwhile
                found.append(self.get(owner, path.parent.name))
        return sorted(found, key=lambda file: (-file.created_at, file.id))

    def get(self, owner: str, id_: str) -> StoredFile:
        """One file. Raises NotFound."""
        try:
            return StoredFile(**json.loads((self._folder(owner, id_) / _ABOUT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise _unknown(id_) from None

    def path(self, owner: str, id_: str) -> Path:
        """Where a file lies. Raises NotFound."""
        found = next(self._folder(owner, id_).glob(f"{_DATA}*"), None)
        if found is None:
            raise _unknown(id_)
        return found

    def document(self, owner: str, id_: str) -> Document:
        """A file to read, by the name that it was uploaded with; the same file again is the same. Raises NotFound."""
        stored = self.get(owner, id_)
        return Document.from_path(
            self.path(owner, id_), name=stored.filename, fingerprint=f"upload:{stored.sha256}:{stored.filename}"
        )

    def delete(self, owner: str, id_: str) -> None:
        """Remove a file. Raises NotFound."""
        try:
            remove(self._folder(owner, id_))
        except FileNotFoundError:
            raise _unknown(id_) from None

    def sweep(self) -> None:
        """Remove what is left of files that another process was killed over."""
        sweep(self.folder, _ABOUT, self._begun)

    def _folder(self, owner: str, id_: str) -> Path:
        folder = self.folder / owner / id_
        if not _ID.fullmatch(id_) or not (folder / _ABOUT).is_file():
            raise _unknown(id_)
        return folder

    async def _written(self, path: Path, pieces: AsyncIterator[bytes]) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with path.open("wb") as file:
            async for piece in pieces:
                size += len(piece)
                if size > self.most:
                    raise TooLarge(
                        f"the file has more than {format_bytes(self.most)}",
                        fix="send it in parts, or begin the server with a larger --upload",
                    )
                file.write(piece)
                digest.update(piece)
        return size, digest.hexdigest()


def _unknown(id_: str) -> NotFound:
    return NotFound(f"there is no file {id_[:80]!r}", fix="GET /v1/files lists those that there are")


def _suffix(name: str) -> str:
    """The end of the name that says the format, if it is one that a file system takes."""
    suffix = Path(name).suffix
    return suffix if suffix.isascii() and len(suffix) <= _LONGEST_SUFFIX else ""


def plain_name(name: str) -> str:
    """A file name without folders and characters that are not printed."""
    last = re.split(r"[\\/]", name)[-1]
    plain = "".join(char for char in last if char.isprintable()).strip(". ")
    suffix = _suffix(plain)
    return plain.removesuffix(suffix)[: _LONGEST_NAME - len(suffix)] + suffix or "file"
