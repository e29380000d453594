"""What has to be the same however a session came to its end."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from farspan.engine import Session
from farspan.types import Budget, Counts
from tests.tiny import model, random_ids

Outcome = tuple[Counts, list[int], Tensor]


def outcome(session: Session) -> Outcome:
    """Where the session stands, what it answers, and its logits when it goes on."""
    counts = session.counts
    return counts, session.ask("what was it?", max_new_tokens=6).ids, session.logits(random_ids(20))


def check_outcome(found: Outcome, wanted: Outcome) -> None:
    assert found[0].seen == wanted[0].seen
    assert found[:2] == wanted[:2]
    torch.testing.assert_close(found[2], wanted[2], atol=1e-5, rtol=0)


def uninterrupted(book: Path, method: str, chunk: int, budget: Budget | None = None) -> Outcome:
    with model().session(method, budget, chunk=chunk) as session:
        session.read(book)
        return outcome(session)
