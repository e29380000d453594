"""Tokens that are drawn become text, piece by piece, up to a stop string."""

from __future__ import annotations

from typing import Any

from tokenizers.decoders import DecodeStream


class Wording:
    """The text of an answer while it is written: whole characters, and nothing of a stop string.

    `text` is what has been given; `stopped` says whether it ended at a stop string.
    """

    def __init__(self, tokenizer: Any, stops: tuple[str, ...]) -> None:
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer.backend_tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._decoded = self._waiting = ""
        self._stops = stops
        self._hold = max((len(stop) for stop in stops), default=1) - 1

    def add(self, token: int) -> str:
        """The text that one more token makes ready; what might begin a stop string waits."""
        piece = self._decoder.step(self._tokenizer, token)
        if not piece:
            return ""
        self._decoded += piece
        return self._ready(piece, self._hold)

    def end(self, tokens: list[int]) -> str:
        """What is left of the text of all these tokens when no more come."""
        whole = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return self._ready(whole[len(self._decoded) :] if whole.startswith(self._decoded) else "", 0)

    def _ready(self, piece: str, hold: int) -> str:
        if self.stopped:
            return ""
        self._waiting += piece
        found = min((at for stop in self._stops if (at := self._waiting.find(stop)) >= 0), default=-1)
        self.stopped = found >= 0
        ready = found if self.stopped else max(0, len(self._waiting) - hold)
        given, self._waiting = self._waiting[:ready], self._waiting[ready:]
        self.text += given
        return given
