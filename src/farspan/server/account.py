"""An answer's account: what it took, and how long."""

from __future__ import annotations

import time
from typing import NamedTuple

from farspan.engine import Generation, Session
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Answered


class Times(NamedTuple):
    """When a request arrived, when reading it began, and when its answer could begin."""

    arrived: float
    began: float
    read: float


def account(session: Session | ReaderSession, reply: Generation, cached: int, times: Times) -> Answered:
    """An answer, written to its end, and how it came about; of its prompt `cached` tokens did not have to be read."""
    usage = reply.usage
    return Answered(
        text=reply.text,
        stopped=reply.stopped,
        prompt_tokens=usage.context_tokens + usage.prompt_tokens,
        cached_tokens=cached,
        completion_tokens=usage.completion_tokens,
        wait_s=times.began - times.arrived,
        read_s=times.read - times.began,
        write_s=time.perf_counter() - times.read,
        method=str(session.method),
        budget=str(session.budget),
        counts=reply.counts,
        sources=reply.sources,
        ids=reply.ids,
        likely=reply.likely,
    )
