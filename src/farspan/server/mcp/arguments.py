"""What the tools are called with; the descriptions are for agents that know nothing of farspan."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

_NAME = "letters, digits, dots, dashes and underscores, at most 64"
SessionName = Annotated[str, Field(description="The name of a session that `read` has begun.")]


class Arguments(BaseModel):
    """A JSON object with no other members than these."""

    model_config = ConfigDict(extra="forbid")


class ReadText(Arguments):
    """A text to read, and where to."""

    session: Annotated[
        str,
        Field(
            description=f"The name of the session to read into ({_NAME}). It is begun if it is not there; if it is, "
            "the text comes behind what it has read already."
        ),
    ]
    text: Annotated[str | None, Field(description="The text itself, of any length.")] = None
    name: Annotated[
        str, Field(description="What sources call the text, such as its title; only goes with `text`.", max_length=200)
    ] = "text"


class ReadHere(ReadText):
    """What can be read by a server that runs where its client does."""

    path: Annotated[
        str | None,
        Field(
            description="A file or folder on this machine, best as an absolute path: plain text, Markdown, HTML, PDF, "
            "EPUB, DOCX or source code. Of a folder everything is read that can be, without hidden files and what "
            ".gitignore leaves out."
        ),
    ] = None


class ReadUploaded(ReadText):
    """What can be read by a server that is reached over HTTP; a `path` is taken only to say that it is not."""

    file_id: Annotated[
        str | None, Field(description="The id of a file that was uploaded to this server by POST /v1/files.")
    ] = None
    path: SkipJsonSchema[str | None] = None


class Ask(Arguments):
    """A question."""

    session: SessionName
    question: Annotated[str, Field(description="One question or instruction, complete in itself.")]
    max_tokens: Annotated[int, Field(ge=1, description="The longest answer, in tokens of about four characters.")] = 512
    keep: Annotated[
        bool,
        Field(
            description="Whether question and answer stay in the session, so that later questions can refer to them. "
            "Without it a question leaves the session as it was."
        ),
    ] = False


class ShowSources(Arguments):
    """Whose sources."""

    session: SessionName


class ShowSessions(Arguments):
    """Which sessions."""

    session: Annotated[
        str | None, Field(description="The one to describe. Without it the names of all are listed.")
    ] = None
