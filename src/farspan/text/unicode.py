"""Text that is none: a `str` that no UTF-8 stands for."""

from __future__ import annotations

from farspan.errors import InputError

_ESCAPES = range(0xDC80, 0xDD00)  # what Python makes of a byte that is not UTF-8, in an argument or a file's name


def to_utf8(text: str, name: str) -> bytes:
    """The text as UTF-8. Raises InputError that calls it by `name` where it holds half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        half, before = text[error.start], text[max(error.start - 20, 0) : error.start]
    if ord(half) in _ESCAPES:
        raise InputError(
            f"{name} is not UTF-8: byte 0x{ord(half) & 0xFF:02x} behind {before!r}",
            fix="write it in UTF-8: iconv -f LATIN1 -t UTF-8 makes that of Latin-1",
        )
    raise InputError(
        f"{name} holds half of a surrogate pair, {half!r}",
        fix='clean it with text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")',
    )
