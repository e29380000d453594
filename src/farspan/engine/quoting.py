"""Text of a document that was read, by the places that sources name."""

from __future__ import annotations

from farspan.errors import InputError
from farspan.text import Spooled


def quote(spool: Spooled, file: str, start: int = 0, end: int | None = None) -> str:
    """The characters `[start, end)` of a document, as far as it was read.

    Of several with this name it is the latest that reaches to `start`. Raises InputError where there is none.
    """
    records = [record for number in range(len(spool)) if (record := spool.document(number)).name == file]
    if not records:
        raise InputError(f"the session has not read {file[:80]!r}", fix="its files say what it has read")
    reaching = [record for record in records if record.offset <= start < record.offset + record.end - record.start]
    record = (reaching or records)[-1]
    low = record.start + max(start - record.offset, 0)
    high = record.end if end is None else min(record.start + end - record.offset, record.end)
    return spool.slice(low, high)
