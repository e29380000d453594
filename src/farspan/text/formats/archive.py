"""Members of the ZIP files that EPUB and DOCX are."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from xml.etree import ElementTree

from farspan.errors import InputError

_CHUNK = 65_536
_MOST_WHOLE = 8 << 20  # bytes of a member that is read whole; in real books and letters it has some thousand


@contextmanager
def archive(file: BinaryIO, name: str, kind: str) -> Iterator[zipfile.ZipFile]:
    """The open ZIP file; what goes wrong while it is read is an InputError that names the file."""
    try:
        with zipfile.ZipFile(file) as members:
            yield members
    except (
        zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, EOFError, NotImplementedError, RuntimeError
    ) as error:  # fmt: skip
        raise InputError(
            f"{name} is a damaged {kind}: {str(error).strip(chr(34))}",
            fix="get the file again, or export it anew",
        ) from error


def chunks(members: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    """The bytes of a member in parts."""
    with members.open(member) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def tree(members: zipfile.ZipFile, member: str) -> ElementTree.Element:
    """A small XML member, parsed. Raises BadZipFile for one that unpacks to more than any real one."""
    with members.open(member) as stream:
        data = stream.read(_MOST_WHOLE + 1)
    if len(data) > _MOST_WHOLE:
        raise zipfile.BadZipFile(f"{member} unpacks to more than {_MOST_WHOLE >> 20} MiB")
    return ElementTree.fromstring(data)
