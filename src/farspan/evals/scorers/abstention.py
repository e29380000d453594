"""Questions that the text does not answer."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score, occurs, rivals
from farspan.evals.scorers.kit.text import plain, straight
from farspan.tasks import Turn

_VERBS = "say|state|mention|tell|specify|give|provide|contain|include|reveal|indicate|disclose|know|have|record|share"
_PASSIVE = (
    "said|stated|mentioned|told|specified|given|provided|contained|included|revealed|indicated|disclosed|known|"
    "recorded|shared|found|available|enough|clear|present|listed|described|possible to"
)
_NOT = r"(?:not|n't|never|nowhere|neither|no\s+longer)"
_SAYS_SO = re.compile(
    rf"{_NOT}\s+(?:\w+\s+){{0,2}}(?:{_VERBS}|{_PASSIVE})\b"
    rf"|\b(?:no|without|insufficient|lacks?)\s+(?:\w+\s+){{0,2}}(?:information|mention|answer|record|data|evidence|details?)\b"
    rf"|(?:cannot|can't|could\s?n[o']t|can\s+not|impossible\s+to|unable\s+to|not\s+able\s+to)\s+(?:\w+\s+){{0,2}}"
    r"(?:be\s+)?(?:determined?|answer(?:ed)?|find|found|tell|told|say|said|know|known|infer(?:red)?|locate)\b"
    r"|\bnothing\s+(?:\w+\s+){0,2}(?:about|on)\b"
    r"|\b(?:is|are|was|remains)\s+(?:unknown|unspecified|unclear|unstated)\b"
)
_ALONE = frozenset({"unknown", "unanswerable", "none", "n/a", "not stated", "unclear", "unspecified", "not applicable"})
_READ = 400


def abstains(text: str, turn: Turn) -> Score:
    """1 when the reply says that the text does not tell, and names no decoy (LongBioBench's IDK; Yang et al. 2025).

    Its first 400 characters are read for words such as "not stated", "no information" or "I don't know"; a gold
    answer counts as well. A reply that abstains and yet gives an answer is not right.
    """
    said = straight(text[:_READ]).replace("*", "").casefold()
    says_so = plain(said) in _ALONE or _SAYS_SO.search(" ".join(said.split())) is not None
    named = [decoy for decoy in rivals(turn) if occurs(decoy, text)]
    right = (says_so or any(plain(gold) == plain(said) for gold in turn.gold)) and not named
    return Score(float(right), parsed={"abstains": says_so, "named": named[:5]})
