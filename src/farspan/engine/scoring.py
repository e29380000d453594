"""How likely a model holds a text to be, token by token, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from farspan.engine.likely import Likely, likely
from farspan.engine.session import Session


def score(session: Session, ids: Sequence[int], top: int) -> list[Likely]:
    """How likely each token but the first is behind those before it, with the `top` most likely in its place.

    The last token is put behind what was read, so that the session can go on from it.
    """
    session.model.check_ids(ids)
    bounds = [*range(0, len(ids) - 1, session.model.chunk), len(ids) - 1]
    found: list[Likely] = []
    for start, end in pairwise(bounds):
        found += likely(session.logits(ids[start:end]), ids[start + 1 : end + 1], top)
    session.put(ids[-1:])
    return found
