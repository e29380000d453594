"""A contender that another interpreter runs, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from farspan.bench.race import GROUP, Turn, piece
from farspan.errors import FarspanError, UsageError

_WORKER = Path(__file__).with_name("worker.py")


class PeerAbsent(FarspanError):
    """A contender that cannot take part; the message says why."""


class Worker:
    """A side of `worker`, run by `python`; `with` ends it. `version` is of the program that it runs.

    What that program says goes to the file `log`. Raises PeerAbsent where the interpreter lacks what the side needs,
    UsageError where there is no interpreter.
    """

    def __init__(self, python: str, side: str, log: Path) -> None:
        self.name = side.removesuffix("_side").replace("_", ".")
        self._log, self._python = log, python
        command, pipe = [python, str(_WORKER), side], subprocess.PIPE
        try:
            with log.open("w", encoding="utf-8") as said:
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, encoding="utf-8")
        except OSError as error:
            fix = "give the path of an interpreter, such as env/bin/python"
            raise UsageError(f"{python} cannot be started: {error.strerror}", fix=fix) from error
        try:
            self.version: str = self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def ask(self, do: str, **values: Any) -> Any:
        """What a method of the side gives. Raises FarspanError when it fails."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        try:
            answer = json.loads(line)
        except ValueError:
            raise PeerAbsent(f"{self._python} is no Python: it answered {line.strip()[:80]!r}") from None
        if "absent" in answer:
            raise PeerAbsent(answer["absent"])
        if "error" in answer:
            raise FarspanError(f"{self.name} failed: {answer['error']}", fix="try a shorter --peer-tokens")
        return answer["value"]

    def _ended(self) -> FarspanError:
        last = self._log.read_text(encoding="utf-8").strip().splitlines()[-1:] or ["it gave no reason"]
        return FarspanError(f"{self.name} ended: {last[0]}", fix="try a shorter --peer-tokens")


class Outside:
    """A worker whose model is loaded, once it has read `ids`; writing, it attends to the share `kept` of them."""

    is_peer = True

    def __init__(self, worker: Worker, ids: Sequence[int], item_bytes: int, kept: float = 1.0) -> None:
        self.name = worker.name
        self.tokens = len(ids)
        self.item_bytes = item_bytes
        self._worker = worker
        self._kept = kept
        self._more = piece(ids)
        worker.ask("read", ids=list(ids))

    def write(self) -> Turn:
        """Go on, token by token."""
        seconds, tokens = self._worker.ask("write", ids=self._more[:GROUP])
        return Turn(seconds, tokens, self._kept * self.tokens)

    def read_on(self) -> Turn:
        """Read the piece. What reads the whole text anew attends, on average, to half of it."""
        seconds, tokens = self._worker.ask("read_on", ids=self._more)
        before = self.tokens + len(self._more) - tokens
        return Turn(seconds, tokens, before + (tokens + 1) / 2)
