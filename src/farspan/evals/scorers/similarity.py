"""Long free answers, by how much of their order they share with the gold ones."""

from __future__ import annotations

import re

from rapidfuzz import fuzz
from rapidfuzz.distance import LCSseq

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.share import f1
from farspan.evals.scorers.kit.text import first_line
from farspan.evals.scorers.kit.tokens import words
from farspan.tasks import Turn

_MOST = 50_000
_COMMENT = re.compile(r"\s*(?:#|//|```|~~~)")


def rouge_l(text: str, turn: Turn) -> Score:
    """F1 by the longest common subsequence of words, for the nearest gold answer (ROUGE-L; Lin 2004).

    Words are runs of letters and digits in any script, and each Chinese, Japanese or Korean sign. The first 50,000
    words are compared; the length of the reply is that of all of them. The usual package drops all that is not ASCII.
    options: `first_line`, then only the reply's first line counts, as LongBench has it for its few-shot sets.
    """
    given = words(first_line(text) if turn.options.get("first_line") else text)
    return Score(max((_rouge(given, words(gold)) for gold in turn.gold), default=0.0))


def edit_similarity(text: str, turn: Turn) -> Score:
    """The share of characters in common order, for the nearest gold answer (LongBench and RepoBench on code).

    options: `first_line`, then only the first line that is neither comment nor fence is compared, as LongBench does.
    The first 50,000 characters are compared. Upstream's number depends on which of two packages is installed.
    """
    given = _code_line(text) if turn.options.get("first_line") else text.strip()
    best = max((fuzz.ratio(given[:_MOST], gold.strip()[:_MOST]) / 100 for gold in turn.gold), default=0.0)
    longest = max((len(gold) for gold in turn.gold), default=0)
    if len(given) > _MOST:
        best *= (_MOST + min(_MOST, longest)) / (len(given) + min(_MOST, longest))
    return Score(best, null=not given, parsed=given[:200])


def _rouge(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return 0.0
    return f1(LCSseq.similarity(given[:_MOST], wanted[:_MOST]), len(given), len(wanted))


def _code_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip() and not _COMMENT.match(line)), "")
