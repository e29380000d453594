"""The server that both transports serve: it lists the tools, calls them, and says what goes wrong in one line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mcp.types as protocol
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

import farspan
from farspan.server.api import errors
from farspan.server.mcp import arguments, results
from farspan.server.mcp.tools import Call, Told, Tools

Context = ServerRequestContext[Any, Any]

_INSTRUCTIONS = """farspan reads texts that are too long for you (books, code bases, archives, logs) with a language
model of its own on a fixed amount of memory, and answers questions about them, with the passages that an answer drew
on. Call read to put a text into a session, then ask as often as you like; a text is read once, and sessions outlive
the server. Every result says what was seen, kept, stored and dropped: tokens that were dropped cannot be answered
from."""

_READ = """Read a long text into a session, so that questions about it can be asked with the tool ask.

Use it for texts that are too long to put into your own context: books, papers, code, logs, mail. Reading takes time in
proportion to the length and tells how it comes along; the text itself never comes back to you. What a session has read
already is not read again, and reading that was broken off goes on where it was. A session can read many texts, one
after the other. Gives back how many tokens were read, and the session's account: how many were seen, kept, stored and
dropped, and the memory that they take."""

_ASK = """Answer a question from what a session has read, with a small language model that has the text in its memory.

Use it after read. Ask for one thing at a time and in full, since the model knows neither your conversation nor, without
keep, earlier questions. Gives back the answer, the passages of the text that it drew on (file, characters, line,
weight), the account of the text, and the tokens used. The answer is that model's, so check it against the sources;
where the account says dropped, that part of the text is forgotten."""

_SOURCES = """Show the passages that the last answer from a session drew on.

Use it to check or quote an answer after the fact; ask gives back the same with the answer itself. Each passage has its
file, the range of characters and the line where it stands, its text, and its weight: its share of the attention that
the answer paid to the whole text. At most five are shown."""

_SESSIONS = """List the sessions, or describe one: what it has read, and what became of it.

Use it to see whether a text has been read before, since sessions outlive the server."""


_READS = protocol.ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_ASKS = protocol.ToolAnnotations(destructive_hint=False, open_world_hint=False)
_LOOKS = protocol.ToolAnnotations(read_only_hint=True, open_world_hint=False)


@dataclass(frozen=True, slots=True)
class Card:
    """A tool: how it is described, what it takes, gives and does, and what clients are told of its effects."""

    name: str
    title: str
    about: str
    takes: type[BaseModel]
    gives: type[BaseModel]
    does: Callable[[Call, Any], Awaitable[Told]]
    hints: protocol.ToolAnnotations

    def listed(self) -> protocol.Tool:
        """The tool as clients list it."""
        return protocol.Tool(
            name=self.name,
            title=self.title,
            description=_folded(self.about),
            input_schema=_schema(self.takes),
            output_schema=_schema(self.gives),
            annotations=self.hints,
        )


def local_cards(tools: Tools) -> list[Card]:
    """The tools of a server that runs where its client does."""
    return _cards(tools, arguments.ReadHere, tools.read_here)


def remote_cards(tools: Tools) -> list[Card]:
    """The tools of a server that is reached over HTTP."""
    return _cards(tools, arguments.ReadUploaded, tools.read_uploaded)


def _cards(tools: Tools, takes: type[BaseModel], read: Callable[[Call, Any], Awaitable[Told]]) -> list[Card]:
    return [
        Card("read", "Read a long text", _READ, takes, results.HasRead, read, _READS),
        Card("ask", "Ask about what was read", _ASK, arguments.Ask, results.HasAnswered, tools.ask, _ASKS),
        Card("sources", "Show sources", _SOURCES, arguments.ShowSources, results.Sources, tools.sources, _LOOKS),
        Card("sessions", "List sessions", _SESSIONS, arguments.ShowSessions, results.Sessions, tools.sessions, _LOOKS),
    ]


def server(cards: Sequence[Card], owner: Callable[[Context], str]) -> Server[Any]:
    """A server of these tools; `owner` says whose a request is."""
    named = {card.name: card for card in cards}

    async def listed(_: Context, __: protocol.PaginatedRequestParams | None) -> protocol.ListToolsResult:
        return protocol.ListToolsResult(tools=[card.listed() for card in cards])

    async def called(context: Context, params: protocol.CallToolRequestParams) -> protocol.CallToolResult:
        card = named.get(params.name)
        if card is None:
            raise MCPError(protocol.INVALID_PARAMS, f"there is no tool {params.name[:80]!r}; known: {', '.join(named)}")
        try:
            asked = card.takes.model_validate(params.arguments or {})
            told = await card.does(Call(owner(context), context.session.report_progress), asked)
        except ValidationError as error:
            return _failed(_invalid(card, error))
        except Exception as error:
            return _failed(errors.described(error)[1]["error"]["message"])
        return protocol.CallToolResult(
            content=[protocol.TextContent(text=part) for part in told.words],
            structured_content=told.values.model_dump(mode="json", exclude_none=True),
        )

    return Server(
        "farspan",
        version=farspan.__version__,
        title="farspan",
        instructions=_folded(_INSTRUCTIONS),
        on_list_tools=listed,
        on_call_tool=called,
    )


def _folded(text: str) -> str:
    """The text with every paragraph on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without what it is called here."""
    return {key: value for key, value in model.model_json_schema().items() if key not in ("title", "description")}


def _failed(message: str) -> protocol.CallToolResult:
    return protocol.CallToolResult(content=[protocol.TextContent(text=message)], is_error=True)


def _invalid(card: Card, error: ValidationError) -> str:
    where, what = errors.wrong(error.errors())
    return f"{where}: {what}; {card.name} takes {', '.join(card.takes.model_json_schema()['properties'])}"
