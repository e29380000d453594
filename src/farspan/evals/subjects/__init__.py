"""What is measured: a model in farspan's own engine, or one behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from farspan.tasks import Frame, Turn

__all__ = ["Reading", "Reply", "Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one turn.

    cut_off: whether it ran into the most that may be generated. first_s: seconds until its first token.
    counts: the engine's account, empty where there is none. peak_bytes: the most KV that lay on the device while the
    context was read. sources: character ranges of the context, best first.
    forked: whether it was asked of a copy of the read context; an endpoint is sent the whole again instead.
    """

    text: str
    context_tokens: int
    prompt_tokens: int
    new_tokens: int
    cut_off: bool = False
    first_s: float = 0.0
    peak_bytes: int | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[tuple[int, int], ...] = ()
    forked: bool = True


class Reading(Protocol):
    """A context that has been read and can be asked."""

    def ask(self, turn: Turn) -> Reply:
        """Answer one turn and leave everything as it was."""
        ...

    def converse(self, turns: tuple[Turn, ...], history: str) -> list[Reply]:
        """Answer turns one after the other in one conversation; `history` as in `Plan`."""
        ...


class Subject(Protocol):
    """A model that can read a context by a method on a budget and be asked."""

    frame: Frame

    def count(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def facts(self) -> dict[str, Any]:
        """What makes it this model and no other: name, fingerprints of weights, tokenizer and template, window."""
        ...

    def read(self, context: str, method: str, budget: str) -> AbstractContextManager[Reading]:
        """Read a context, empty or not, before any question is known."""
        ...
