"""What the tools give back as structured content."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from farspan import telling
from farspan.server.api.running import usage
from farspan.server.asked import Answered
from farspan.types import Counts

MOST_FILES = 100


class Context(BaseModel):
    """What became of the text: seen = kept + stored + dropped, in tokens."""

    method: Annotated[str, Field(description="By which method the session treats what does not fit its budget.")]
    budget: Annotated[str, Field(description="How much memory it may take in each tier.")]
    seen: Annotated[int, Field(description="Tokens read so far.")]
    kept: Annotated[int, Field(description="Of these, held in the model's memory.")]
    stored: Annotated[int, Field(description="Of these, moved to main memory or disk, from where they can be fetched.")]
    fetched: Annotated[int, Field(description="Tokens brought back for attention so far, counted each time.")]
    dropped: Annotated[int, Field(description="Of those seen, forgotten for good: no answer can draw on them.")]
    exact: Annotated[bool, Field(description="Whether all of it was attended to, as if there were no budget.")]
    kv_bytes: Annotated[dict[str, int], Field(description="Bytes of memory taken in each tier: device, host, disk.")]

    @classmethod
    def of(cls, described: dict[str, Any]) -> Self:
        """The account of a session that was described."""
        return cls(method=described["method"], budget=described["budget"], **described["context"])


class Source(BaseModel):
    """A span of the text that an answer drew on."""

    file: Annotated[str, Field(description="The path or name of the text.")]
    start: Annotated[int, Field(description="The first character of the span in that text, counted from 0.")]
    end: Annotated[int, Field(description="The character behind the span.")]
    line: Annotated[int, Field(description="The line of the first character, counted from 1.")]
    text: Annotated[str, Field(description="The span itself.")]
    weight: Annotated[float, Field(description="Its share of the attention that the answer paid to all the text.")]


class Usage(BaseModel):
    """Tokens that an answer took."""

    prompt_tokens: Annotated[int, Field(description="The session's text and the question.")]
    cached_tokens: Annotated[int, Field(description="Of these, read earlier.")]
    completion_tokens: Annotated[int, Field(description="The answer.")]
    total_tokens: int


class HasRead(BaseModel):
    """A text was read."""

    session: str
    tokens: Annotated[int, Field(description="Tokens of this text that were read now; 0 when they had been before.")]
    context: Context


class HasAnswered(BaseModel):
    """A question was answered."""

    session: str
    answer: str
    finished: Annotated[bool, Field(description="False when the answer was cut off at max_tokens.")]
    sources: Annotated[list[Source], Field(description="What the answer drew on most, the weightiest first.")]
    context: Context
    usage: Usage

    @classmethod
    def of(cls, session: str, answered: Answered) -> Self:
        """An answer and its account."""
        described = {"method": answered.method, "budget": answered.budget, "context": answered.counts.as_dict()}
        used = usage(answered)
        return cls(
            session=session,
            answer=answered.text.strip(),
            finished=answered.stopped,
            sources=sources(answered),
            context=Context.of(described),
            usage=Usage(**used, cached_tokens=used["prompt_tokens_details"]["cached_tokens"]),
        )


class Sources(BaseModel):
    """The sources of an answer."""

    session: str
    answer: Annotated[str, Field(description="The answer whose sources these are.")]
    sources: Annotated[list[Source], Field(description="What it drew on most, the weightiest first.")]


class File(BaseModel):
    """A text that a session has read."""

    file: str
    chars: int
    complete: Annotated[bool, Field(description="False where reading was broken off; reading it again goes on there.")]


class Session(BaseModel):
    """A session in full."""

    session: str
    busy: Annotated[bool, Field(description="Whether something is read into it now.")]
    files: Annotated[list[File], Field(description=f"What it has read; of more than {MOST_FILES}, the last.")]
    files_count: int
    context: Context

    @classmethod
    def of(cls, described: dict[str, Any]) -> Self:
        """A session that was described."""
        files = [File(**file) for file in described["files"]]
        return cls(
            session=described["id"],
            busy=described["busy"],
            files=files[-MOST_FILES:],
            files_count=len(files),
            context=Context.of(described),
        )


class Sessions(BaseModel):
    """The names of all sessions, and the one that was asked for."""

    sessions: list[str]
    described: Session | None = None


def sources(answered: Answered) -> list[Source]:
    """The sources of an answer, without those that hardly weigh anything."""
    return [Source(**source.as_dict()) for source in answered.sources if source.weight >= telling.LEAST_WEIGHT]


def counts(described: dict[str, Any]) -> Counts:
    """The counts of a session that was described."""
    return Counts(**described["context"])
