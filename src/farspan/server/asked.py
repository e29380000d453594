"""What a request asks for and what it gets, whichever protocol it came by."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from farspan.engine.conversation import Message
from farspan.engine.likely import Likely
from farspan.errors import FarspanError
from farspan.types import Counts, Source


class ContextLengthExceeded(FarspanError):
    """A text that does not fit, where the request wants that to be an error."""


class Loading(FarspanError):
    """The model is not there yet."""


class TooLarge(FarspanError):
    """More bytes than may be sent."""


class NotFound(FarspanError):
    """Something that is not there, or that belongs to another key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """farspan's own options of a request: what `extra_body={"farspan": {...}}` holds.

    `method` and `budget` are those of the server where they are None. `session` is what the messages stand behind, and
    with `keep` the message and its answer stay there. `strict` makes a text that is longer than the model's window an
    error.
    """

    method: str | None = None
    budget: str | None = None
    session: str | None = None
    keep: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Messages to answer, or a raw `prompt` to continue; `owner` is whose they are.

    `arrived` is when, by `time.perf_counter`.
    """

    owner: str
    messages: Sequence[Message] = ()
    prompt: str | Sequence[int] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    options: Options = Options()
    arrived: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer and its account. Of `prompt_tokens`, `cached_tokens` did not have to be read.

    It waited for `wait_s` until reading began. `likely` says how likely the tokens of the answer were, `worded` those
    that its text is made of, and `prompt_likely` those of the prompt but the first, where that was asked for.
    """

    text: str
    stopped: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    wait_s: float
    read_s: float
    write_s: float
    method: str
    budget: str
    counts: Counts
    sources: Sequence[Source]
    ids: Sequence[int] = ()
    likely: Sequence[Likely] = ()
    worded: Sequence[Likely] = ()
    prompt_ids: Sequence[int] = ()
    prompt_likely: Sequence[Likely] = ()

    def context(self) -> dict[str, Any]:
        """The `context` member of a reply: what was seen, kept, stored, fetched and dropped, and what was drawn on."""
        return {
            "method": self.method,
            "budget": self.budget,
            **self.counts.as_dict(),
            "prompt_ms": round(self.read_s * 1e3),
            "predicted_ms": round(self.write_s * 1e3),
            "sources": [source.as_dict() for source in self.sources],
        }
