"""A text of any length to read: what it says makes no difference to speed and memory."""

from __future__ import annotations

import random
from collections.abc import Iterator

WORDS = (
    "the of and to a in that he was it his with for on as had at by not be which from but is this they all one her so "
    "were are have said no an their who would been when them there him or what if out up then into more some could"
).split()
PIECE_CHARS = 1 << 16


def generated_text(chars: int | None = None, seed: int = 0) -> Iterator[str]:
    """Yield pieces of a text of `chars` characters (None: without end), made as it is read and never held whole."""
    draw = random.Random(seed)
    made = 0
    while chars is None or made < chars:
        words = [draw.choice(WORDS) for _ in range(PIECE_CHARS // 5)]
        lines = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
        piece = ".\n".join(lines) + ".\n"
        yield piece if chars is None else piece[: chars - made]
        made += len(piece)
