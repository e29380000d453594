"""A server of one's own in a process of its own, and how it does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farspan.errors import FarspanError

_LISTENS = re.compile(r"listens at (http://\S+)")
_START_S = 300.0
_METRIC = re.compile(r"^(farspan:\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Served:
    """A server that runs: its address, its process, and plain requests to it."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A reply to JSON. Raises FarspanError with the server's own message."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as reply:
                found: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            raise FarspanError(f"{path} answered {error.code}: {error.read().decode()[:500]}") from error
        except OSError as error:
            raise FarspanError(f"{path} was not answered: {error}") from error
        return found

    def ask(self, question: str, max_tokens: int = 16) -> dict[str, Any]:
        """The reply to one message."""
        body = {"messages": [{"role": "user", "content": question}], "max_tokens": max_tokens}
        return self.post("/v1/chat/completions", body)

    def metrics(self) -> dict[str, float]:
        """The numbers that the server tells Prometheus."""
        with urllib.request.urlopen(self.url + "/metrics") as reply:
            return {name: float(value) for name, value in _METRIC.findall(reply.read().decode())}

    def resident_bytes(self) -> int:
        """Resident memory of the server now (Linux)."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096


@contextmanager
def served(folder: Path, options: Sequence[str]) -> Iterator[Served]:
    """Begin a server on a free port, and end it. Raises FarspanError when it does not come up."""
    command = [sys.executable, "-m", "farspan", "serve", "--port", "0", "--folder", str(folder), *options]
    log = (folder / "log").open("w+", encoding="utf-8")
    process = subprocess.Popen(command, stderr=log, stdout=log, text=True)
    try:
        yield Served(_address(process, folder / "log"), process)
    finally:
        process.terminate()
        process.wait()
        log.close()


def _address(process: subprocess.Popen[str], log: Path) -> str:
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        found = _LISTENS.search(log.read_text(encoding="utf-8"))
        if found is not None and _is_up(found[1]):
            return found[1]
        time.sleep(0.2)
    raise FarspanError(f"the server did not come up: {log.read_text(encoding='utf-8').strip()[-500:]}")


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health"):
            return True
    except OSError:
        return False
