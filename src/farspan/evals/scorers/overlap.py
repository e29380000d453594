"""Free answers, by the words that they share with the gold ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.share import bag_f1
from farspan.evals.scorers.kit.text import first_line, plain
from farspan.evals.scorers.kit.tokens import squad_words
from farspan.tasks import Turn

_LEAST = 0.2


def f1(text: str, turn: Turn) -> Score:
    """F1 of the words of the reply and of the gold answer that is nearest (SQuAD; Rajpurkar et al. 2016).

    options: `first_line`, then only the reply's first line counts, as LongBench has it for its few-shot sets; `ignore`,
    words that count as little as articles do. Upstream takes out ASCII punctuation alone, so that curly quotes make
    other words, and leaves no word of a gold answer that is nothing but an article; such a one is compared as it is
    here.
    """
    given = first_line(text) if turn.options.get("first_line") else text
    ignored = _ignored(turn)
    return Score(max((_f1(given, gold, ignored) for gold in turn.gold), default=0.0))


def ak_f1(text: str, turn: Turn) -> Score:
    """F1 of words, but 0 where too few of the answer's keywords are there (LV-Eval; Yuan et al. 2024).

    options: `keywords`, strings whose words carry the answer (the gold itself without them); `ignore`, words that count
    for nothing; `least`, the share of the keywords' words that must be in the reply (.2 without it). F1 alone pays for
    any fluent sentence with the same small words.
    """
    ignored = _ignored(turn)
    keywords = _kept((str(phrase) for phrase in turn.options.get("keywords") or turn.gold[:1]), ignored)
    given = _kept([text], ignored)
    shared = Counter(given) & Counter(keywords)
    recall = shared.total() / max(1, len(keywords))
    value = max((bag_f1(given, _kept([gold], ignored)) for gold in turn.gold), default=0.0) if given else 0.0
    least = float(turn.options.get("least", _LEAST))
    return Score(value if recall >= least else 0.0, parsed={"recall": round(recall, 4), "f1": round(value, 4)})


def _f1(text: str, gold: str, ignored: set[str]) -> float:
    wanted = _kept([gold], ignored)
    return bag_f1(_kept([text], ignored), wanted) if wanted else float(plain(text) == plain(gold))


def _ignored(turn: Turn) -> set[str]:
    return {word for phrase in turn.options.get("ignore", ()) for word in squad_words(str(phrase))}


def _kept(texts: Iterable[str], ignored: set[str]) -> list[str]:
    return [word for text in texts for word in squad_words(text) if word not in ignored]
