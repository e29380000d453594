"""Where sentences end."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile("(?<=[.!?])[\"'\u201d\u2019)\\]]*\\s+|\n\\s*\n|(?<=[\u3002\uff01\uff1f])")
_LINE = re.compile("\n")
_LONG_CHARS = 300


def sentence_ends(text: str) -> Iterator[int]:
    """The places behind the sentences of a text, ascending.

    They end at an empty line or behind `.`, `!` or `?` and white space, so that no number is cut, and of a stretch of
    more than 300 characters without such an end, as in tables and logs, at every line.
    """
    start = 0
    for end in (*(match.end() for match in _END.finditer(text)), len(text)):
        if end - start > _LONG_CHARS:
            yield from (match.end() for match in _LINE.finditer(text, start, end - 1))
        yield end
        start = end
