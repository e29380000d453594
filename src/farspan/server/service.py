"""What the server does, without HTTP: it answers, in a thread that takes turns with others at the model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from farspan import readers
from farspan.engine import Generation, Model, Sampling, Session
from farspan.engine.conversation import Markup, Part, Passage, parts, raw_parts
from farspan.engine.likely import Likely
from farspan.engine.scoring import CLOSELY, score
from farspan.errors import InputError, UsageError
from farspan.methods import Method
from farspan.server.account import Times, account
from farspan.server.asked import Answered, Asked, Options
from farspan.server.counting import check_length, raw_ids, tokens
from farspan.server.prefixes import Node
from farspan.server.reuse import Reuse
from farspan.server.room import Room
from farspan.server.sessions import Sessions
from farspan.server.turns import Job, Turns
from farspan.text import Document, documents
from farspan.types import Budget, Progress

T = TypeVar("T")
_CHARS_A_TOKEN = 2


class Listener(Protocol):
    """Who is told how an answer comes along; called in the thread that works on it."""

    def check(self) -> None:
        """Raise `Stopped` where nobody waits for the work any more."""

    def began(self, job: Job) -> None:
        """It takes turns at the model from now on; `job.stop()` ends it."""

    def read(self, progress: Progress) -> None:
        """A chunk was read."""

    def wrote(self, piece: str, likely: Sequence[Likely]) -> None:
        """Text of the answer is ready, and how likely its tokens were, where that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The method and budget of requests that name none, and whether what exceeds the window is an error."""

    method: Method
    budget: Budget
    strict: bool = False


Begin = Callable[[Path | None], Session]


class Service:
    """Answers requests with one model, which clients call by any of `names`; `release` is called when it has closed."""

    def __init__(
        self,
        model: Model,
        turns: Turns,
        reuse: Reuse,
        room: Room,
        sessions: Sessions,
        defaults: Defaults,
        names: Sequence[str],
        release: Callable[[], None],
    ) -> None:
        self.model = model
        self.turns = turns
        self.reuse = reuse
        self.room = room
        self.sessions = sessions
        self.defaults = defaults
        self.names = names
        self.begun = int(time.time())
        self._release = release
        self._roots: dict[str, Node] = {}

    def root(self, identity: str) -> Node:
        """The beginning of all conversations of one owner, method and budget."""
        return self._roots.setdefault(identity, Node(identity=identity))

    def choose(self, options: Options) -> tuple[Method, Budget]:
        """The method and budget that a request wants. Raises MethodError and BudgetError."""
        method = self.defaults.method if options.method is None else readers.parse_method(options.method)
        return method, self.defaults.budget if options.budget is None else Budget.parse(options.budget)

    def check(self, asked: Asked) -> None:
        """Raise what can be said against a request before any work is done."""
        Sampling.of(asked.sampling)
        if asked.options.session is not None:
            self.sessions.check(asked.owner, asked.options.session)
        self.choose(asked.options)

    def turn(self, work: Callable[[], T]) -> Callable[[Listener], T]:
        """Work on sessions, to be done when it has the turn."""

        def done(listener: Listener) -> T:
            with self.turns.job() as job:
                listener.began(job)
                return work()

        return done

    def read(
        self, owner: str, name: str, source: Document | Path, listener: Listener, *, once: bool = False
    ) -> dict[str, Any]:
        """Read a text, or a file or folder, into a session, and describe the session then.

        With `once` a session that is not there is begun, unless there is nothing to read, and what it has read to its
        end is not read again. Raises NotFound, InputError, StorageFull.
        """
        with self.turns.job() as job:
            listener.began(job)
            if once and not self.sessions.has(owner, name):
                _check_text(source)
                self.sessions.create(owner, name, self.defaults.method, self.defaults.budget)
            self.sessions.read(owner, name, source, listener.read, once=once)
            return self.sessions.describe(owner, name)

    def close(self) -> None:
        """Close every session, and release the server's folder; sessions with a folder of their own stay there."""
        for root in self._roots.values():
            self.reuse.close(root)
        self.sessions.close()
        self._release()

    def count(self, asked: Asked, listener: Listener) -> int:
        """How many tokens a conversation has."""
        return tokens(self.model, self._conversation(asked), listener.check)

    def score(self, asked: Asked, listener: Listener) -> Answered:
        """How likely the model holds every token of a prompt, and what it goes on with; nothing is kept."""
        if asked.options.session is not None:
            raise UsageError("echo cannot be asked behind a session", fix="leave echo out, or the session")
        prompt = asked.prompt or ()
        ids = raw_ids(self.model, prompt, listener.check) if isinstance(prompt, str) else prompt
        if not ids:
            raise InputError("the prompt is empty", fix="give it at least one token")
        with self.turns.job() as job:
            listener.began(job)
            method, budget = self.choose(asked.options)
            began, conversation = time.perf_counter(), [Markup(tuple(ids))]
            with (
                self.room.taking(self._need(Node(), asked.options, conversation)),
                self.model.session(method, budget) as session,
            ):
                scored = score(session, ids, asked.sampling.get("logprobs") or 0)
                read = time.perf_counter()
                reply = session.reply(**asked.sampling)
                answered = account(session, reply, 0, Times(asked.arrived, began, read))
                return replace(answered, prompt_ids=ids, prompt_likely=scored)

    def answer(self, asked: Asked, listener: Listener) -> Answered:
        """Answer, and tell the listener on the way.

        Raises InputError for messages that cannot be put together, MethodError and BudgetError for options that do not
        go, ContextLengthExceeded in strict mode, NotFound for a session that is not there, `Stopped` when stopped.
        """
        conversation = self._conversation(asked)
        if asked.options.strict or self.defaults.strict:
            check_length(self.model, conversation, listener.check)
        with self.turns.job() as job:
            listener.began(job)
            answering = self._chat if asked.options.keep else self._reply
            answered = answering(asked, conversation, listener)
            if asked.options.session is not None:
                self.sessions.note(asked.owner, asked.options.session, answered)
            return answered

    def _conversation(self, asked: Asked) -> list[Part]:
        if asked.prompt is None:
            return parts(self.model.tokenizer, asked.messages)
        if not asked.prompt:
            raise InputError("the prompt is empty", fix="give it at least one token")
        if not isinstance(asked.prompt, str):
            self.model.check_ids(asked.prompt)
            close = max(0, len(asked.prompt) - CLOSELY)
            pieces = asked.prompt[:close], asked.prompt[close:]
            return [Markup(tuple(piece)) for piece in pieces if piece]
        begin = Markup(tuple(self.model.encode_raw("", first=True)))
        return [*([begin] if begin.ids else []), *raw_parts(self.model.tokenizer, asked.prompt)]

    @contextmanager
    def _beginning(self, asked: Asked, conversation: list[Part]) -> Iterator[tuple[Node, Begin, list[Part]]]:
        """Where the conversation begins: at nothing, or behind a session that has a name."""
        options = asked.options
        if options.session is not None:
            with self.sessions.using(asked.owner, options.session) as named:
                _refuse_changes(options, named.session)
                first = next((at for at, part in enumerate(conversation) if isinstance(part, Passage)), 0)
                lead = Markup(tuple(named.session.lead()))
                yield named.root, _never, [lead, *conversation[first:]]
            return
        method, budget = self.choose(options)
        root = self.root(json.dumps([asked.owner, str(method), str(budget), self.model.fingerprint, self.model.dtype]))
        yield root, lambda at: self.model.session(method, budget, at if budget.has_disk else None), conversation

    def _reply(self, asked: Asked, conversation: list[Part], listener: Listener) -> Answered:
        """Answer messages from what was read of them before, and keep what is read of them now."""
        began = time.perf_counter()
        with (
            self._beginning(asked, conversation) as (root, begin, conversation),
            self.reuse.read(
                root, begin, conversation, self._need(root, asked.options, conversation), listener.read
            ) as place,
        ):
            session = place.held.session
            reply = session.reply(**asked.sampling)
            times = Times(asked.arrived, began, time.perf_counter())
            worded = self._write(reply, listener)
            if reply.whole:
                self.reuse.keep(place, reply.text)
            return replace(account(session, reply, place.cached, times), worded=worded)

    def _write(self, reply: Generation, listener: Listener) -> list[Likely]:
        """Let an answer be written: the tokens that its text is made of, where it notes how likely they were."""
        worded: list[Likely] = []
        told = 0
        for piece in reply:
            fresh = [one for one in reply.likely[told:] if one.id not in self.model.eos]
            told = len(reply.likely)
            listener.wrote(piece, fresh)
            worded += fresh
        return worded

    def _chat(self, asked: Asked, conversation: list[Part], listener: Listener) -> Answered:
        """Put a message to a session, where it stays with its answer."""
        if asked.options.session is None or len(asked.messages) != 1:
            raise UsageError(
                f"keep wants a session and one new message, and here are {len(asked.messages)}",
                fix="name the session, and send the new message alone: the earlier ones are there",
            )
        message = "\n\n".join(passage.text for passage in asked.messages[0].passages)
        with self.sessions.chatting(asked.owner, asked.options.session, message) as (session, turn):
            _refuse_changes(asked.options, session)
            began, cached = time.perf_counter(), session.counts.seen
            reply = session.chat(message, **asked.sampling)
            times = Times(asked.arrived, began, time.perf_counter())
            try:
                worded = self._write(reply, listener)
            finally:
                turn.answered = account(session, reply, cached, times)
            return replace(turn.answered, worded=worded)

    def _need(self, root: Node, options: Options, conversation: Sequence[Part]) -> int:
        """The most bytes of KV memory that reading this can take."""
        chars = sum(len(part.text) if isinstance(part, Passage) else len(part.ids) for part in conversation)
        per_token = self.model.kv_bytes_per_token
        budget = self.choose(options)[1] if root.held is None else root.held.session.budget
        most = None if budget.device is None else budget.device.in_bytes(per_token)
        need = (chars // _CHARS_A_TOKEN + self.model.window) * per_token
        return need if most is None else min(need, most)


def _refuse_changes(options: Options, session: Session) -> None:
    """A session keeps the method and budget that it was begun with."""
    wanted = options.method and str(readers.parse_method(options.method))
    budget = options.budget and str(Budget.parse(options.budget))
    for name, asked, has in (("method", wanted, session.method), ("budget", budget, session.budget)):
        if asked and asked != str(has):
            raise UsageError(f"the session was begun with {name} {str(has)!r}, not {asked!r}", fix="leave it out")


def _check_text(source: Document | Path) -> None:
    """Raise InputError where there is no text to read."""
    for document in documents(source):
        if any(not piece.isspace() for piece in document.pieces()):
            return


def _never(folder: Path | None) -> Session:
    raise AssertionError("a session that has a name is there already")
