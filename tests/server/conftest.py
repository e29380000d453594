"""A server of the bundled model in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_LISTENS = re.compile(r"farspan listens at (http://\S+)")
_PATIENCE_S = 60


@dataclass(frozen=True)
class Server:
    """Where a server listens, and the folder that it works in."""

    url: str
    folder: Path


@contextmanager
def running_server(folder: Path, *options: str) -> Iterator[Server]:
    """A server with these options of `farspan serve`, once its model is loaded; it ends with the block."""
    command = [sys.executable, "-m", "farspan", "serve", "--port", "0", "--folder", str(folder), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            url = None
            for line in process.stderr:
                said.append(line)
                if found := _LISTENS.search(line):
                    url = found[1]
                    break
            assert url is not None, "".join(said)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            _wait_for(f"{url}/health")
            yield Server(url, folder)
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < until, f"{url} does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the bundled model with a budget that a few thousand tokens fill."""
    with running_server(tmp_path_factory.mktemp("server"), "--budget", "32MiB") as running:
        yield running
