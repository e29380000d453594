"""Answers of a wanted length."""

from __future__ import annotations

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.tokens import words
from farspan.tasks import Turn


def length_score(text: str, turn: Turn) -> Score:
    """How near the reply is to so many words: 1 at that many, 0 at a third or at four times (LongWriter's S_l).

    options: `words`, how many. After Bai et al. 2024; a Chinese, Japanese or Korean sign is a word. parsed: `words`,
    how many there are, and `distinct`, the share that are not said before, since length says nothing of what is said.
    """
    said, wanted = words(text), int(turn.options.get("words", 0))
    distinct = round(len(set(said)) / max(1, len(said)), 4)
    return Score(_nearness(len(said), wanted), null=not said, parsed={"words": len(said), "distinct": distinct})


def _nearness(given: int, wanted: int) -> float:
    if not given or not wanted:
        return 0.0
    return max(0.0, 1 - (given / wanted - 1) / 3 if given > wanted else 1 - (wanted / given - 1) / 2)
