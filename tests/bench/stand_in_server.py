"""A server in this process that answers as `farspan serve` does, without a model."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from farspan.bench.serving.served import Served


class Process:
    """What a server runs in: it goes on until `code` is its exit code."""

    pid = os.getpid()
    code: int | None = None

    def wait(self, timeout: float) -> int:
        """The exit code, or TimeoutExpired."""
        if self.code is None:
            raise subprocess.TimeoutExpired("server", timeout)
        return self.code


class Answers:
    """What is answered: a token a character; what is read takes five questions long, or until `read` is set."""

    def __init__(self) -> None:
        self.process = Process()
        self.read, self.running, self.asked = threading.Event(), 0, 0
        self.fails: dict[str, tuple[int, str]] = {}
        self.dies_after = 1 << 30

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request that does not fail."""
        if path == "/tokenize":
            return {"count": len(body["content"]) + bool(body.get("add_special_tokens"))}
        if path == "/v1/chat/completions":
            self.asked += 1
            return {"usage": {"prompt_tokens": 1 + len(body["messages"][0]["content"]), "completion_tokens": 3}}
        if path.endswith("/read"):
            self.running, enough = 1, self.asked + 5
            while self.asked < enough and not self.read.wait(0.01):
                pass
            self.running = 0
            return {"context": {"seen": 5}}
        return {}


@contextmanager
def stand_in(log: Path) -> Iterator[tuple[Served, Answers]]:
    """The server and what it answers."""
    answers = Answers()
    log.write_text("what was written last\n")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = f"farspan:num_requests_running {answers.running}\nfarspan:read_tokens_total 7.0\n"
            self._reply(*answers.fails.get(self.path, (200, told)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if answers.asked >= answers.dies_after:
                answers.process.code = -9
                self.connection.close()
                return
            code, said = answers.fails.get(self.path) or (200, json.dumps(answers.answer(self.path, body)))
            self._reply(code, said)

        def _reply(self, code: int, text: str) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", answers.process, log), answers
    finally:
        answers.read.set()
        server.shutdown()
        server.server_close()
