"""What requests may hold, as OpenAI's clients send it; unknown members are let pass, since clients send many."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from farspan.server.asked import Options


class Body(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="allow")


class FarspanOptions(BaseModel):
    """farspan's own options; a name that is none of them is an error."""

    model_config = ConfigDict(extra="forbid")

    method: str | None = None
    budget: str | None = None
    session: str | None = None
    keep: bool = False
    strict: bool = False
    progress: bool = False

    def options(self) -> Options:
        """Those of them that are the engine's."""
        return Options(**self.model_dump(exclude={"progress"}))


class StreamOptions(Body):
    """What else is streamed."""

    include_usage: bool | None = False


Positive = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = str | Annotated[list[str], Field(max_length=16)]


class Generating(Body):
    """What all that generate share."""

    model: str | None = None
    stream: bool | None = False
    temperature: Temperature | None = None
    top_p: Share | None = None
    farspan: FarspanOptions = FarspanOptions()
    return_progress: bool = False

    @property
    def progress(self) -> bool:
        """Whether to tell how reading comes along."""
        return self.return_progress or self.farspan.progress


class File(Body):
    """A file that was uploaded."""

    file_id: str


class ContentPart(Body):
    """A part of a message: text, or a file."""

    type: Literal["text", "input_text", "output_text", "file", "input_file"]
    text: str | None = None
    file: File | None = None
    file_id: str | None = None


class ChatMessage(Body):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None


class ChatBody(Generating):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Literal[1] | None = 1
    seed: Seed | None = None
    stop: Stop | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None


class ResponseFormat(Body):
    """Only text is written."""

    type: Literal["text"]


class CompletionBody(Generating):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    n: Literal[1] | None = 1
    echo: bool | None = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    stream_options: StreamOptions | None = None


class InputItem(Body):
    """An item of the input of a response: a message."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]


class ResponseBody(Generating):
    """`POST /v1/responses`."""

    input: str | list[InputItem]
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Positive | None = None
    store: bool | None = True
    metadata: dict[str, str] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None


class TokenizeBody(Body):
    """`POST /tokenize`: as llama.cpp has it (`content`) and vLLM (`prompt`)."""

    content: str | None = None
    prompt: str | None = None
    add_special_tokens: bool | None = None


class DetokenizeBody(Body):
    """`POST /detokenize`."""

    tokens: list[Annotated[int, Field(ge=0)]]


class SessionBody(Body):
    """`POST /v1/sessions`."""

    id: str | None = None
    method: str | None = None
    budget: str | None = None


class ForkBody(Body):
    """`POST /v1/sessions/{id}/fork`."""

    id: str | None = None


class ReadBody(Body):
    """`POST /v1/sessions/{id}/read`: a file that was uploaded, or a text."""

    file_id: str | None = None
    text: str | None = None
    name: str = "text"
    stream: bool = False
