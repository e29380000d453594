"""What requests may hold, as OpenAI's clients send it; unknown members are let pass, since clients send many."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from farspan.server.api.refusing import (
    NO_BIAS,
    NO_TOOLS,
    ONE_ANSWER,
    ONLY_MESSAGES,
    ONLY_TEXT,
    ONLY_TEXT_READ,
    known,
    refused,
)
from farspan.server.asked import Options


def whole(text: str) -> str:
    """A text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot: clients cut texts anywhere."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(whole)]


class Body(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(extra="allow")


class FarspanOptions(BaseModel):
    """farspan's own options; a name that is none of them is an error."""

    model_config = ConfigDict(extra="forbid")

    method: Text | None = None
    budget: Text | None = None
    session: Text | None = None
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
Top = Annotated[int, Field(ge=0, le=20)]
NoTools = Annotated[None, refused(NO_TOOLS)]
NoToolChoice = Annotated[None, refused(NO_TOOLS, "none", "auto")]
NoBias = Annotated[None, refused(NO_BIAS)]
OneAnswer = Annotated[None, refused(ONE_ANSWER, 1)]
Stop = Text | Annotated[list[Text], Field(max_length=16)]


class Generating(Body):
    """What all that generate share."""

    model: Text | None = None
    stream: bool | None = False
    temperature: Temperature | None = None
    top_p: Share | None = None
    farspan: FarspanOptions = FarspanOptions()
    return_progress: bool = False

    @property
    def progress(self) -> bool:
        """Whether to tell how reading comes along."""
        return self.return_progress or self.farspan.progress


class Completing(Generating):
    """What chats and texts share."""

    seed: Seed | None = None
    stop: Stop | None = None
    stream_options: StreamOptions | None = None
    n: OneAnswer = None
    logit_bias: NoBias = None
    presence_penalty: NoBias = None
    frequency_penalty: NoBias = None


class File(Body):
    """A file that was uploaded."""

    file_id: Text


class ContentPart(Body):
    """A part of a message: text, or a file."""

    type: Annotated[Literal["text", "input_text", "output_text", "file", "input_file"], known(ONLY_TEXT_READ)]
    text: Text | None = None
    file: File | None = None
    file_id: Text | None = None


class ChatMessage(Body):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[ContentPart] | None = None


class ChatBody(Completing):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = False
    top_logprobs: Top | None = None
    response_format: ResponseFormat | None = None
    tools: NoTools = None
    tool_choice: NoToolChoice = None
    functions: NoTools = None
    function_call: NoToolChoice = None
    audio: Annotated[None, refused(ONLY_TEXT)] = None
    modalities: Annotated[None, refused(ONLY_TEXT, ["text"])] = None

    @field_validator("top_logprobs")
    @classmethod
    def with_logprobs(cls, top: int | None, info: ValidationInfo) -> int | None:
        """Raise an error where logprobs are not asked for."""
        if top and not info.data.get("logprobs"):
            raise PydanticCustomError("unsupported", "these come only with logprobs: set logprobs to true")
        return top


class ResponseFormat(Body):
    """Only text is written."""

    type: Literal["text"]


class CompletionBody(Completing):
    """`POST /v1/completions`."""

    prompt: Text | list[Text] | list[int] | list[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    echo: bool | None = False
    logprobs: Top | None = None
    best_of: OneAnswer = None
    suffix: Annotated[None, refused("text is written behind a prompt, and not between two: leave it out")] = None


class InputItem(Body):
    """An item of the input of a response: a message."""

    type: Annotated[Literal["message"], known(ONLY_MESSAGES)] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[ContentPart]


class TextOptions(Body):
    """How the text of a response is written."""

    format: ResponseFormat | None = None


class ResponseBody(Generating):
    """`POST /v1/responses`."""

    input: Text | list[InputItem]
    instructions: Text | None = None
    previous_response_id: Text | None = None
    max_output_tokens: Positive | None = None
    text: TextOptions | None = None
    store: bool | None = True
    metadata: dict[Text, Text] | None = None
    tools: NoTools = None
    tool_choice: NoToolChoice = None
    top_logprobs: Annotated[None, refused("a response has no logprobs: leave it out, or ask by a chat completion")] = (
        None
    )
    background: Annotated[None, refused("nothing is answered in the background: leave it out, or stream")] = None
    conversation: Annotated[None, refused("there are no conversations here: name previous_response_id")] = None
    prompt: Annotated[None, refused("there are no stored prompts here: send the text as input")] = None


class TokenizeBody(Body):
    """`POST /tokenize`: as llama.cpp has it (`content`) and vLLM (`prompt`)."""

    content: Text | None = None
    prompt: Text | None = None
    add_special_tokens: bool | None = None


class DetokenizeBody(Body):
    """`POST /detokenize`."""

    tokens: list[Annotated[int, Field(ge=0)]]


class SessionBody(Body):
    """`POST /v1/sessions`."""

    id: Text | None = None
    method: Text | None = None
    budget: Text | None = None


class ForkBody(Body):
    """`POST /v1/sessions/{id}/fork`."""

    id: Text | None = None


class ReadBody(Body):
    """`POST /v1/sessions/{id}/read`: a file that was uploaded, or a text."""

    file_id: Text | None = None
    text: Text | None = None
    name: Text = "text"
    stream: bool = False
