"""A server of one's own in a process of its own, and how it does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from farspan.bench.resident import resident_bytes
from farspan.errors import FarspanError
from farspan.folders import scratch_folder

_LISTENS = re.compile(r"listens at (http://\S+)")
_METRIC = re.compile(r"^(farspan:\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_START_S, _END_S, _DYING_S = 300.0, 30.0, 1.0
_LAST_CHARS = 500
_LOADING = "loading model"
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever proxy the environment names: it is no way to a server on this machine."""
_OF_ANOTHER_SERVER = ("FARSPAN_API_KEY", "FARSPAN_SERVE_")
"""What variables begin with that would change what the options of this one say."""


class ServerEnded(FarspanError):
    """The server is there no more; the message holds the end of its log."""


class Served:
    """A server that runs: its address, its process, its log, and plain requests to it."""

    def __init__(self, url: str, process: subprocess.Popen[str], log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A reply to JSON. Raises FarspanError with the server's own message, ServerEnded when it is gone."""
        found: dict[str, Any] = json.loads(self._asked(path, json.dumps(body).encode()))
        return found

    def ask(self, question: str, max_tokens: int = 16) -> dict[str, Any]:
        """The reply to one message."""
        body = {"messages": [{"role": "user", "content": question}], "max_tokens": max_tokens}
        return self.post("/v1/chat/completions", body)

    def metrics(self) -> dict[str, float]:
        """The numbers that the server tells Prometheus."""
        return {name: float(value) for name, value in _METRIC.findall(self._asked("/metrics").decode())}

    def resident_bytes(self) -> int | None:
        """Resident memory of the server now; None where the system does not tell (other than Linux)."""
        return resident_bytes(self._process.pid)

    def _asked(self, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with _DIRECTLY.open(request) as reply:
                found: bytes = reply.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:_LAST_CHARS]
            raise FarspanError(f"{path} answered {error.code}: {said}") from error
        except (OSError, HTTPException) as error:
            self._check_that_it_runs()
            raise FarspanError(f"{path} was not answered: {error}") from error
        return found

    def _check_that_it_runs(self) -> None:
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            return
        raise ServerEnded(f"the server ended with code {code}; the end of its log: {_end_of(self._log)}")


@contextmanager
def served(options: Sequence[str]) -> Iterator[Served]:
    """Begin a server on a free port, in a folder that is gone in the end, and end it; so does SIGTERM.

    Raises FarspanError when it does not come up, or cannot load its model.
    """
    with ExitStack() as stack:
        stack.enter_context(_sigterm_as_exit())
        folder = Path(stack.enter_context(scratch_folder()))
        log = folder / "log"
        written = stack.enter_context(log.open("w", encoding="utf-8"))
        command = [sys.executable, "-P", "-m", "farspan", "serve", "--port", "0", "--folder", str(folder), *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_ANOTHER_SERVER)}
        process = subprocess.Popen(command, stderr=written, stdout=written, text=True, env=environment)
        stack.callback(_end, process)
        yield Served(_address(process, log), process, log)


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Have SIGTERM leave by an exception, so that what was begun in here is ended; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        found = _LISTENS.search(log.read_text(encoding="utf-8"))
        if found is not None and _is_up(found[1]):
            return found[1]
        time.sleep(0.2)
    raise FarspanError(f"the server did not come up: {_end_of(log)}")


def _is_up(url: str) -> bool:
    """Whether the model is loaded. Raises FarspanError where it cannot be."""
    try:
        with _DIRECTLY.open(f"{url}/health"):
            return True
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())["error"]["message"]
        if said == _LOADING:
            return False
        raise FarspanError(f"the server does not come up: {said}") from error
    except OSError:
        return False


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-_LAST_CHARS:] or "it is empty"
