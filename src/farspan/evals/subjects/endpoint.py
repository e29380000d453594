"""A model behind an OpenAI-compatible endpoint: nothing can be forked there, so every question sends its context again.

What the server keeps, drops or truncates is not known: `counts` stay empty, and rows say that nothing was forked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from farspan.errors import ModelError, UsageError
from farspan.evals.subjects import Reply
from farspan.tasks import Frame, Turn

KEY = "OPENAI_API_KEY"
_CHARS_PER_TOKEN = 4
_TIMEOUT_S = 3600.0
_LEAST_READ = 0.5
Message = dict[str, str]


class EndpointSubject:
    """A served model as subject.

    url: the base, such as `http://127.0.0.1:8000/v1`. model: its name there; else the first that the server lists.
    tokenizer: a folder or Hub name whose tokenizer counts; else four characters a token. retries: how often a request
    that fails for a while is sent again. The key is taken from OPENAI_API_KEY.
    Raises UsageError without the `openai` package and ModelError when the server cannot be asked.
    """

    def __init__(self, url: str, model: str | None = None, tokenizer: str | None = None, *, retries: int = 4) -> None:
        try:
            import openai
        except ImportError as error:
            raise UsageError(
                "an endpoint is asked with the openai package", fix="pip install 'farspan[eval]'"
            ) from error
        self._failure, self._unreachable = openai.OpenAIError, openai.APIConnectionError
        self._client = openai.OpenAI(
            base_url=url, api_key=os.environ.get(KEY, "none"), max_retries=retries, timeout=_TIMEOUT_S
        )
        self.url = url
        self.model = self._served(model)
        self.frame = Frame(8, 2, 8, 8)
        self.tokenizer = tokenizer
        self._counted = _counter(tokenizer)

    def count(self, text: str) -> int:
        """Tokens of a text, as far as they are known."""
        return self._counted(text)

    def facts(self) -> dict[str, Any]:
        """The address and the name; what lies behind them cannot be known."""
        return {"model": self.model, "endpoint": self.url, "tokenizer": self.tokenizer or "four characters a token"}

    @contextmanager
    def read(self, context: str, method: str, budget: str) -> Iterator[EndpointReading]:
        """Hold the context; it is sent with every question."""
        yield EndpointReading(self, context)

    def complete(self, messages: list[Message], turn: Turn) -> Reply:
        """One reply, greedy. Raises ModelError when the server refuses or cannot be reached."""
        try:
            answer = self._client.chat.completions.create(
                model=self.model,
                messages=messages,  # type: ignore[arg-type]
                max_tokens=turn.max_new_tokens,
                temperature=0.0,
                stop=list(turn.stop) or None,
            )
        except (self._failure, ValueError) as error:
            raise ModelError(f"{self.url} did not answer: {error}", fix="see what the server logged") from error
        choice = next(iter(getattr(answer, "choices", None) or ()), None)
        text = getattr(getattr(choice, "message", None), "content", None)
        if choice is None or text is None:
            raise ModelError(f"{self.url} sent no reply: {str(answer)[:200]}", fix="see what the server logged")
        usage = answer.usage
        self._check_length(messages, (usage and usage.prompt_tokens) or 0)
        return Reply(
            text=text,
            context_tokens=0,
            prompt_tokens=(usage and usage.prompt_tokens) or 0,
            new_tokens=(usage and usage.completion_tokens) or 0,
            cut_off=choice.finish_reason == "length",
            forked=False,
        )

    def _check_length(self, messages: list[Message], read: int) -> None:
        """Raise ModelError when the server says that it read far less than it was sent: it has truncated the text."""
        sent = sum(self.count(message["content"]) for message in messages)
        if read and read < _LEAST_READ * sent:
            raise ModelError(
                f"{self.url} read {read:,} tokens of some {sent:,}: it truncates",
                fix="serve it with a longer context, or ask for shorter --lengths",
            )

    def _served(self, model: str | None) -> str:
        """The model of that name, whatever the server lists; else the first that it does."""
        try:
            first = next(iter(self._client.models.list()))
            return model or str(first.id)
        except self._unreachable as error:
            raise ModelError(
                f"no server can be reached at {self.url}: {error}",
                fix="start it, or give the address that it serves under, such as http://127.0.0.1:8000/v1",
            ) from error
        except (self._failure, StopIteration, ValueError, AttributeError, TypeError) as error:
            if model:
                return model
            raise ModelError(f"{self.url} lists no model: {error}", fix="name one with -m") from error


class EndpointReading:
    """A context that goes out with each question."""

    def __init__(self, subject: EndpointSubject, context: str) -> None:
        self._subject = subject
        self._context = context

    def ask(self, turn: Turn) -> Reply:
        """Answer one turn in a conversation of its own."""
        return self._subject.complete(self._opened(turn), turn)

    def converse(self, turns: tuple[Turn, ...], history: str) -> list[Reply]:
        """Answer turns in one conversation, sent whole each time."""
        messages: list[Message] = []
        replies = []
        for turn in turns:
            messages += self._opened(turn) if not messages else [_user(_asked(turn))]
            reply = self._subject.complete(messages, turn)
            replies.append(reply)
            said = reply.text if history == "own" else turn.prefix + turn.answer
            messages.append({"role": "assistant", "content": said.strip()})
        return replies

    def _opened(self, turn: Turn) -> list[Message]:
        return [_user(f"{self._context}\n\n{_asked(turn)}" if self._context else _asked(turn))]


def _asked(turn: Turn) -> str:
    """The question, with the beginning of the answer behind it: an endpoint cannot be made to go on from one."""
    return f"{turn.query}\n{turn.prefix}" if turn.prefix else turn.query


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _counter(tokenizer: str | None) -> Callable[[str], int]:
    if tokenizer is None:
        return lambda text: math.ceil(len(text) / _CHARS_PER_TOKEN)
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(tokenizer).backend_tokenizer
    return lambda text: len(backend.encode(text, add_special_tokens=False).ids)
