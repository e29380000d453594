"""What the server does, without HTTP: it answers, in a thread that takes turns with others at the model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from farspan import readers
from farspan.engine import Model, Sampling, Session
from farspan.engine.conversation import Markup, Part, Passage, parts, raw_parts
from farspan.engine.scoring import CLOSELY, score
from farspan.errors import InputError, UsageError
from farspan.methods import Method
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.session import ReaderSession
from farspan.server.account import Times, account
from farspan.server.asked import Answered, Asked, Options
from farspan.server.choosing import Defaults, refuse_changes
from farspan.server.counting import check_length, raw_ids, tokens
from farspan.server.listening import Listener, write
from farspan.server.prefixes import Node
from farspan.server.rereading import take_in
from farspan.server.reuse import Reuse
from farspan.server.room import Room
from farspan.server.sessions import Sessions
from farspan.server.turns import Turns
from farspan.text import Document, documents

T = TypeVar("T")
_CHARS_A_TOKEN = 2

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

    def check(self, asked: Asked) -> None:
        """Raise what can be said against a request before any work is done."""
        Sampling.of(asked.sampling)
        if asked.options.session is not None:
            self.sessions.check(asked.owner, asked.options.session)
        self.defaults.choose(asked.options)

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
            method, budget = self.defaults.choose(asked.options)
            method = readers.parse_method(method)
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
            if asked.options.keep:
                answered = self._chat(asked, listener)
            elif isinstance(self._method(asked), Method):
                answered = self._reply(asked, conversation, listener)
            else:
                answered = self._reread(asked, listener)
            if asked.options.session is not None:
                self.sessions.note(asked.owner, asked.options.session, answered)
            return answered

    def _method(self, asked: Asked) -> Method | Reader:
        """By which method a request is answered: its own, or that of the session that it stands behind."""
        if asked.options.session is None:
            return self.defaults.choose(asked.options)[0]
        return self.sessions.get(asked.owner, asked.options.session).session.method

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
                refuse_changes(options, named.session)
                first = next((at for at, part in enumerate(conversation) if isinstance(part, Passage)), 0)
                assert isinstance(named.session, Session)
                lead = Markup(tuple(named.session.lead()))
                yield named.root, _never, [lead, *conversation[first:]]
            return
        method, budget = self.defaults.choose(options)
        assert isinstance(method, Method)
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
            worded = write(reply, listener, self.model.eos)
            if reply.whole:
                self.reuse.keep(place, reply.text)
            return replace(account(session, reply, place.cached, times), worded=worded)

    @contextmanager
    def _rereading(self, asked: Asked) -> Iterator[ReaderSession]:
        """A session to answer one request: one that has read nothing, or a fork of one that has a name."""
        options = asked.options
        if options.session is None:
            with readers.begin_session(self.model, *self.defaults.choose(options)) as session:
                assert isinstance(session, ReaderSession)
                yield session
            return
        with self.sessions.using(asked.owner, options.session) as named:
            refuse_changes(options, named.session)
            with named.session.fork() as session:
                assert isinstance(session, ReaderSession)
                yield session

    def _reread(self, asked: Asked, listener: Listener) -> Answered:
        """Answer messages by a method that re-reads."""
        began = time.perf_counter()
        with self._rereading(asked) as session:
            question = take_in(session, asked, listener.read)
            with self.room.taking(session.asking_takes):
                reply = session.ask(question, **asked.sampling)
                times = Times(asked.arrived, began, time.perf_counter())
                worded = write(reply, listener, self.model.eos)
                return replace(account(session, reply, 0, times), worded=worded)

    def _chat(self, asked: Asked, listener: Listener) -> Answered:
        """Put a message to a session, where it stays with its answer."""
        if asked.options.session is None or len(asked.messages) != 1:
            raise UsageError(
                f"keep wants a session and one new message, and here are {len(asked.messages)}",
                fix="name the session, and send the new message alone: the earlier ones are there",
            )
        message = "\n\n".join(passage.text for passage in asked.messages[0].passages)
        with self.sessions.chatting(asked.owner, asked.options.session, message) as (session, turn):
            refuse_changes(asked.options, session)
            began = time.perf_counter()
            cached = session.counts.seen if isinstance(session.method, Method) else 0
            reply = session.chat(message, **asked.sampling)
            times = Times(asked.arrived, began, time.perf_counter())
            try:
                worded = write(reply, listener, self.model.eos)
            finally:
                turn.answered = account(session, reply, cached, times)
            return replace(turn.answered, worded=worded)

    def _need(self, root: Node, options: Options, conversation: Sequence[Part]) -> int:
        """The most bytes of KV memory that reading this can take."""
        chars = sum(len(part.text) if isinstance(part, Passage) else len(part.ids) for part in conversation)
        per_token = self.model.kv_bytes_per_token
        budget = self.defaults.choose(options)[1] if root.held is None else root.held.session.budget
        most = None if budget.device is None else budget.device.in_bytes(per_token)
        need = (chars // _CHARS_A_TOKEN + self.model.window) * per_token
        return need if most is None else min(need, most)


def _check_text(source: Document | Path) -> None:
    """Raise InputError where there is no text to read."""
    for document in documents(source):
        if any(not piece.isspace() for piece in document.pieces()):
            return


def _never(folder: Path | None) -> Session:
    raise AssertionError("a session that has a name is there already")
