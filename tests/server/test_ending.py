"""Told to end, the server lets answers that are being written come to their end."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx

from farspan.server.api.streaming import GRACE_S
from tests.server.conftest import Running, running_server

WORDS = {"messages": [{"role": "user", "content": "hello"}], "temperature": 2, "seed": 5, "stream": True}
LASTS_S = 3.0


def streamed(server: Running, tokens: int) -> Iterator[str]:
    """The data of a stream of so many tokens, as it comes."""
    body = {**WORDS, "max_tokens": tokens}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as reply:
        yield from (line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: "))


def takes(server: Running, tokens: int) -> float:
    """How many seconds a stream of so many tokens takes."""
    began = time.monotonic()
    assert list(streamed(server, tokens))[-1] == "[DONE]"
    return time.monotonic() - began


def test_a_stream_comes_to_its_end_and_one_without_end_is_cut(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        takes(server, 20)
        tokens = round(100 * LASTS_S / takes(server, 100))
        endless: list[Any] = []

        def read_endless() -> None:
            try:
                endless.extend(streamed(server, 1_000_000))
            except httpx.HTTPError as error:
                endless.append(error)

        other = threading.Thread(target=read_endless)
        other.start()
        stream = streamed(server, tokens)
        found = [next(stream), next(stream)]
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        found += stream
        assert time.monotonic() - told > LASTS_S / 4
        assert found[-1] == "[DONE]"
        assert json.loads(found[-2])["choices"][0]["finish_reason"] == "length"
        server.process.wait(GRACE_S + 10)
        assert time.monotonic() - told > GRACE_S - 1
        other.join(10)
        assert endless and endless[-1] != "[DONE]"
