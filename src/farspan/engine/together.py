"""Several answers written at once: the model's weights are read once for a token of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from farspan.engine.generation import Generation
from farspan.engine.stream import Feed, feed_together
from farspan.errors import FarspanError, UsageError


def together(generations: Sequence[Generation]) -> Iterator[tuple[int, str]]:
    """Write answers of sessions of one model to their ends: the number of an answer, and the text that is ready.

    Each says what it would have said alone. One that cannot go on, since its tiers are full, ends there, and its error
    is raised when the others are done. Raises UsageError for sessions of different models, or two answers of one.
    """
    streams = [generation.stream for generation in generations]
    if len({id(stream.kv.settings.hosted) for stream in streams}) > 1:
        raise UsageError("answers of different models cannot be written together", fix="write those of each apart")
    if len(set(map(id, streams))) < len(streams):
        raise UsageError("one session cannot write two answers at once", fix="fork it, or use ask")
    errors: list[FarspanError] = []
    try:
        while going := [(number, one) for number, one in enumerate(generations) if not one.ended]:
            fed = [one for _, one in going if one.drawn]
            logits = dict(zip(map(id, fed), _fed(fed, errors), strict=True))
            for number, one in going:
                if one.ended:
                    continue
                piece = one.draw(logits.get(id(one)))
                if piece:
                    yield number, piece
    finally:
        for one in generations:
            one.close()
    if errors:
        raise errors[0]


def _fed(generations: Sequence[Generation], errors: list[FarspanError]) -> list[Tensor | None]:
    """The logits behind the last token of each; None for those that have ended with an error."""
    feeds = [Feed(one.stream, one.drawn[-1], one.watch) for one in generations]
    if not feeds:
        return []
    try:
        return [*feed_together(feeds)]
    except FarspanError as error:
        if len(feeds) > 1:
            return [logits_V for one in generations for logits_V in _fed([one], errors)]
        errors.append(error)
        generations[0].close()
        return [None]
