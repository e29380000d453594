"""Killed under load, and begun again: sessions that were saved answer as before, and reading goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx2 as httpx

from tests.server.conftest import ANSWER, QUESTION, Running, filler, running_server, wait_for


def post(url: str, path: str, **body: object) -> dict[str, object]:
    """A reply to JSON."""
    reply = httpx.post(f"{url}{path}", json=body, timeout=120)
    assert reply.status_code == 200, reply.text
    found: dict[str, object] = reply.json()
    return found


def ask(server: Running, content: str, **farspan: object) -> tuple[object, object, object]:
    """The answer, the account and the usage of one message."""
    reply = post(
        server.url,
        "/v1/chat/completions",
        messages=[{"role": "user", "content": content}],
        farspan=farspan,
        max_tokens=8,
    )
    context = reply["context"]
    assert isinstance(context, dict)
    counts = {name: context[name] for name in ("seen", "kept", "stored", "dropped", "sources")}
    return reply["choices"][0]["message"]["content"], counts, reply["usage"]  # type: ignore[index]


def goes_away(url: str, path: str, **body: object) -> threading.Thread:
    """Send something whose answer is never read: the server is killed first."""

    def send() -> None:
        try:
            httpx.post(f"{url}{path}", json=body, timeout=120)
        except httpx.HTTPError:
            return

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_killed_under_load_and_begun_again(tmp_path: Path) -> None:
    book, other = filler(60), filler(400, fact_at=0.1)
    with running_server(tmp_path) as server:
        for name in ("saved", "cut"):
            post(server.url, "/v1/sessions", id=name)
        post(server.url, "/v1/sessions/saved/read", text=book, name="book.txt")
        kept = ask(server, QUESTION, session="saved", keep=True)
        before, long = ask(server, QUESTION, session="saved"), ask(server, f"{book}\n\n{QUESTION}")
        assert ANSWER in str(before[0])
        load = [goes_away(server.url, "/v1/sessions/cut/read", text=other, name="other.txt")]
        load += [
            goes_away(server.url, "/v1/chat/completions", messages=[{"role": "user", "content": f"{n} {other}"}])
            for n in range(3)
        ]
        cut = tmp_path / "server" / "sessions" / "public" / "cut" / "session.json"
        wait_for(lambda: '"seen": 0,' not in cut.read_text(encoding="utf-8"), 60)
        server.process.kill()
        for thread in load:
            thread.join(60)
    with running_server(tmp_path) as server:
        assert ask(server, QUESTION, session="saved")[:2] == before[:2]
        turns = httpx.get(f"{server.url}/v1/sessions/saved/messages").json()["data"]
        assert [turn["content"] for turn in turns] == [QUESTION, kept[0]]
        again = ask(server, f"{book}\n\n{QUESTION}")
        assert again[:2] == long[:2]
        assert again[2]["prompt_tokens_details"]["cached_tokens"] > 0.9 * again[2]["prompt_tokens"]  # type: ignore[index]
        found = httpx.get(f"{server.url}/v1/sessions/cut").json()
        assert found["files"] == [] or [file["complete"] for file in found["files"]] == [False]
        read = post(server.url, "/v1/sessions/cut/read", text=other, name="other.txt")
        assert [file["complete"] for file in read["files"]] == [True]  # type: ignore[index, attr-defined]
        assert ANSWER in str(ask(server, QUESTION, session="cut")[0])
