"""A server to ask: as a process of its own, which clients reach by HTTP, or in this process where that is quicker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import openai
import pytest
from fastapi.testclient import TestClient

from farspan.server.api.app import create
from farspan.server.building import Settings

BUDGET = "32MiB"
FACT = "The number of the copper lantern is 48213."
QUESTION = "What is the number of the copper lantern?"
ANSWER = "48213"
_STARTS_S = 90
_HERE = Path(__file__).parent
_LISTENS = re.compile(r"farspan listens at (\S+)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all of these tests to one worker, so that one server, application and browser serve them."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.xdist_group("server"))


@dataclass
class Running:
    """A server's process: where it listens, and what it has written so far."""

    process: subprocess.Popen[bytes]
    url: str
    log_path: Path
    key: str = field(default="none")

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def client(self, key: str | None = None, **options: object) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, max_retries=0, **options)

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.key}"}).text
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"farspan:{name} ")))


def start(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Begin a server at a free port; what it writes goes to `folder/log`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "farspan", "serve", "--port", "0", "--folder", str(folder / "server")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--budget", BUDGET, *options],
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
        )


@contextmanager
def running_server(
    folder: Path, *options: str, env: Mapping[str, str] | None = None, key: str = "none", ready: int = 200
) -> Iterator[Running]:
    """A server with these options, once /health answers `ready`; it is ended when the block is."""
    process = start(folder, *options, env=env)
    try:
        log = folder / "log"
        found = wait_for(lambda: _LISTENS.search(log.read_text(encoding="utf-8")) or process.poll(), _STARTS_S)
        assert isinstance(found, re.Match), log.read_text(encoding="utf-8")
        running = Running(process, found[1], log, key)
        wait_for(lambda: _health(running.url) == ready, _STARTS_S)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def wait_for(condition: Callable[[], object], seconds: float = 20) -> object:
    """Look until something is so, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it was not so after {seconds} seconds"
        time.sleep(0.05)
    return found


def _health(url: str) -> int:
    try:
        return httpx.get(f"{url}/health").status_code
    except httpx.HTTPError:
        return 0


def filler(paragraphs: int, fact_at: float = 0.5) -> str:
    """Text of some 60 tokens a paragraph, with the fact in it."""
    lines = [
        f"On day {number} the keeper walked along the shore. The wind came from the north and the boats stayed in the "
        f"harbour. Somebody counted the gulls on the wall and wrote the figure in a book that nobody read."
        for number in range(paragraphs)
    ]
    lines.insert(int(paragraphs * fact_at), FACT)
    return "\n\n".join(lines)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that only ask it."""
    with running_server(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Running) -> openai.OpenAI:
    return server.client()


@contextmanager
def app_client(folder: Path, **settings: object) -> Iterator[TestClient]:
    """The application in this process, its model loaded."""
    app = create(Settings(folder=folder, budget=BUDGET, **settings))
    with TestClient(app, raise_server_exceptions=False) as inside:
        wait_for(lambda: inside.get("/health").status_code == 200, _STARTS_S)
        yield inside


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One application for all tests that only ask it."""
    with app_client(tmp_path_factory.mktemp("app")) as inside:
        yield inside
