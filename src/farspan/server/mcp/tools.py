"""What the tools do: the same for both transports, over the server's own parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from farspan import telling
from farspan.engine.conversation import Message, Passage
from farspan.errors import InputError, UsageError
from farspan.server.api.running import Running
from farspan.server.api.state import State
from farspan.server.asked import Answered, Asked, NotFound, Options
from farspan.server.mcp import results
from farspan.server.mcp.arguments import Ask, ReadHere, ReadUploaded, ShowSessions, ShowSources
from farspan.server.service import Service
from farspan.text import Document
from farspan.types import Progress

Tell = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Call:
    """Whose call it is, and who is told how it comes along: how far, of how much, and in words."""

    owner: str
    tell: Tell


@dataclass(frozen=True, slots=True)
class Told:
    """A result as values and in words, one string for each part."""

    values: BaseModel
    words: tuple[str, ...]


class Tools:
    """The tools of one server."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def read_here(self, call: Call, asked: ReadHere) -> Told:
        """Read a text, or a file or folder of this machine."""
        if (asked.text is None) == (asked.path is None):
            raise UsageError("read takes either a text or a path", fix="give exactly one of text and path")
        # An absolute path is never "-", which stands for standard input: that is where the protocol comes in.
        path = None if asked.path is None else Path(asked.path).expanduser().absolute()
        return await self._read(call, asked.session, lambda: path or Document.from_text(asked.text or "", asked.name))

    async def read_uploaded(self, call: Call, asked: ReadUploaded) -> Told:
        """Read a text, or a file that was uploaded."""
        if asked.path is not None:
            raise UsageError(
                "over HTTP no path can be read: it would be one of the server's machine",
                fix="upload the file by POST /v1/files and give its file_id, or give the text itself",
            )
        if (asked.text is None) == (asked.file_id is None):
            raise UsageError("read takes either a text or a file_id", fix="give exactly one of text and file_id")

        def source() -> Document:
            if asked.file_id is not None:
                return self._state.files.document(call.owner, asked.file_id)
            return Document.from_text(asked.text or "", asked.name)

        return await self._read(call, asked.session, source)

    async def ask(self, call: Call, asked: Ask) -> Told:
        """Answer a question from a session."""
        service = await self._service(call, asked.session)
        if not asked.question.strip():
            raise InputError("the question is empty", fix="ask something")
        what = Asked(
            owner=call.owner,
            messages=[Message("user", (Passage(asked.question, "question"),))],
            sampling={"max_new_tokens": asked.max_tokens},
            options=Options(session=asked.session, keep=asked.keep),
        )
        service.check(what)
        running, steps = Running(self._state.workers, lambda listener: service.answer(what, listener)), 0
        async with aclosing(running.events()) as events:
            async for kind, value in events:
                if kind == "done":
                    answered: Answered = value
                    break
                steps += 1
                await call.tell(steps, None, "answering")
        self._state.metrics.answered(answered)
        return Told(results.HasAnswered.of(asked.session, answered), (answered.text.strip(), _drawn_on(answered)))

    async def sources(self, call: Call, asked: ShowSources) -> Told:
        """Say what the last answer from a session drew on."""
        service = await self._service(call, asked.session)
        answered = service.sessions.answered(call.owner, asked.session)
        found = results.sources(answered)
        said = results.Sources(session=asked.session, answer=answered.text.strip(), sources=found)
        return Told(said, (_drawn_on(answered),))

    async def sessions(self, call: Call, asked: ShowSessions) -> Told:
        """Name the sessions, and describe one."""
        if asked.session is None:
            names = (await self._state.ready()).sessions.names(call.owner)
            words = ", ".join(names) or "there are no sessions yet; read begins one"
            return Told(results.Sessions(sessions=names), (words,))
        service, name = await self._service(call, asked.session), asked.session
        work = service.turn(lambda: service.sessions.describe(call.owner, name))
        described = await Running(self._state.workers, work).outcome()
        session = results.Session.of(described)
        files = [f"  {file.file}: {file.chars:,} characters" for file in session.files]
        account = telling.account(session.context.method, results.counts(described))
        values = results.Sessions(sessions=service.sessions.names(call.owner), described=session)
        return Told(values, ("\n".join([f"session {name!r} has read {session.files_count} texts", *files, account]),))

    async def _read(self, call: Call, session: str, source: Callable[[], Document | Path]) -> Told:
        service = await self._state.ready()
        running = Running(
            self._state.workers, lambda listener: service.read(call.owner, session, source(), listener, once=True)
        )
        reading = _Reading(call.tell)
        async with aclosing(running.events()) as events:
            async for kind, value in events:
                if kind == "progress":
                    await reading.tell(value)
        context = results.Context.of(value)
        tokens = 0 if reading.seen_before is None else context.seen - reading.seen_before
        account = telling.account(context.method, results.counts(value))
        said = f"read {tokens:,} tokens into session {session!r}; {account}"
        return Told(results.HasRead(session=session, tokens=tokens, context=context), (said,))

    async def _service(self, call: Call, session: str) -> Service:
        """The service, for a session that is there. Raises NotFound."""
        service = await self._state.ready()
        if not service.sessions.has(call.owner, session):
            raise NotFound(
                f"there is no session {session!r}",
                fix="read a text into it first; the tool sessions lists those that there are",
            )
        return service


class _Reading:
    """Tells how reading comes along, in characters; of a folder the texts are put one behind the other."""

    def __init__(self, tell: Tell) -> None:
        self.seen_before: int | None = None
        self._tell = tell
        self._file = ""
        self._before = self._chars = 0

    async def tell(self, progress: Progress) -> None:
        """A chunk was read."""
        if self.seen_before is None:
            self.seen_before = progress.counts.seen - progress.tokens
        if progress.file != self._file:
            self._file, self._before = progress.file, self._before + self._chars
        self._chars = progress.chars
        total = None if progress.total_chars is None else self._before + progress.total_chars
        words = f"{progress.file}: {progress.tokens:,} tokens read, {progress.counts.kept:,} kept in memory"
        await self._tell(self._before + self._chars, total, words)


def _drawn_on(answered: Answered) -> str:
    lines = telling.source_lines(answered.sources)
    return "\n".join(["sources:", *(lines or ["  none"]), telling.account(answered.method, answered.counts)])
