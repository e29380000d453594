"""A model in farspan's engine: the context is read once, and every question asked of a fork."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from farspan.engine import Generation, Model, Session
from farspan.evals.subjects import Reply
from farspan.readers import begin_session
from farspan.readers.kit.session import ReaderSession
from farspan.tasks import Frame, Turn


class LocalSubject:
    """A loaded model as subject."""

    def __init__(self, model: Model) -> None:
        self.model = model
        template = model.template
        self.frame = Frame(len(template.head), len(template.gap), len(template.tail), len(template.between))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.model.encoder.encode(text).ids)

    def facts(self) -> dict[str, Any]:
        """Name, fingerprints, window and number type."""
        tokenizer = self.model.tokenizer.backend_tokenizer.to_str()
        return {
            "model": self.model.name,
            "weights": self.model.fingerprint,
            "tokenizer": hashlib.sha256(tokenizer.encode()).hexdigest()[:32],
            "template": hashlib.sha256(repr(self.model.template).encode()).hexdigest()[:32],
            "window": self.model.window,
            "dtype": str(self.model.hosted.dtype).removeprefix("torch."),
            "device": self.model.hosted.device.type,
        }

    @contextmanager
    def read(self, context: str, method: str, budget: str) -> Iterator[LocalReading]:
        """Read a context in a session of its own."""
        held = [0]
        with begin_session(self.model, method, budget) as session:
            if context.strip():
                session.read(context, lambda state: held.append(state.counts.kv_bytes["device"]))
            yield LocalReading(session, max(held))


class LocalReading:
    """A session that has read its context."""

    def __init__(self, session: Session | ReaderSession, peak_bytes: int) -> None:
        self._session = session
        self._peak_bytes = peak_bytes

    def ask(self, turn: Turn) -> Reply:
        """Answer on a fork."""
        return self._reply(self._session.ask, turn)

    def converse(self, turns: tuple[Turn, ...], history: str) -> list[Reply]:
        """Answer on one fork; with `gold` history each turn goes on from the right answers to those before."""
        replies = []
        with self._session.fork() as fork:
            for turn in turns:
                if history == "own":
                    replies.append(self._reply(fork.chat, turn))
                else:
                    replies.append(self._reply(fork.ask, turn))
                    fork.replay(turn.query, turn.prefix + turn.answer)
        return replies

    def _reply(self, ask: Callable[..., Generation], turn: Turn) -> Reply:
        began = time.perf_counter()
        stop = turn.stop or None
        answer = ask(turn.query, prefix=turn.prefix, max_new_tokens=turn.max_new_tokens, stop=stop)
        first_s = time.perf_counter() - began
        text, usage = answer.text, answer.usage
        ended = answer.ids[-1:] and answer.ids[-1] in self._session.model.eos
        return Reply(
            text=text,
            context_tokens=usage.context_tokens,
            prompt_tokens=usage.prompt_tokens,
            new_tokens=usage.completion_tokens,
            cut_off=usage.completion_tokens >= turn.max_new_tokens and not ended,
            first_s=first_s,
            peak_bytes=self._peak_bytes,
            counts=answer.counts.as_dict(),
            sources=tuple((source.start, source.end) for source in answer.sources),
        )
