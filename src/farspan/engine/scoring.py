"""How likely a model holds a text to be, token by token, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from farspan.engine.likely import Likely, likely
from farspan.engine.session import Session

CLOSELY = 128


def score(session: Session, ids: Sequence[int], top: int) -> list[Likely]:
    """How likely each token but the first is behind those before it, with the `top` most likely in its place.

    The last `CLOSELY` tokens, where a question and its answer stand, are read as an answer is: what they need is looked
    up. The last token is put behind what was read, so that the session can go on from it.
    """
    session.model.check_ids(ids)
    last = len(ids) - 1
    close = max(0, last - CLOSELY)
    bounds = [*range(0, close, session.model.chunk), *range(close, last, session.model.chunk), last]
    found: list[Likely] = []
    for start, end in pairwise(bounds):
        logits_TV = session.logits(ids[start:end], answering=start >= close)
        found += likely(logits_TV, ids[start + 1 : end + 1], top)
    session.put(ids[-1:])
    return found
