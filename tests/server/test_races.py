"""Requests that meet: at one session, in the queue, when somebody goes; and a server that comes back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from farspan.engine.conversation import Message, Passage
from farspan.server.api import app as application
from farspan.server.api import state
from farspan.server.api.running import Running
from farspan.server.api.streaming import streamed
from farspan.server.asked import Answered, Asked, NotFound, Options
from farspan.server.building import Settings, build
from farspan.server.service import Service
from farspan.server.workers import Workers
from farspan.text import Document
from farspan.types import Progress
from tests.server.conftest import ANSWER, BUDGET, FACT, QUESTION, app_client, filler, wait_for

ME = "me"
CHAT = "/v1/chat/completions"
PLAIN = filler(20).replace(FACT, "Nothing else was seen.")


class Listening:
    """A listener that does something once, at the first chunk that is read."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self._act: Callable[[], object] | None = act

    def check(self) -> None:
        """Somebody waits."""

    def began(self, job: object) -> None:
        """Nothing is done at the beginning."""

    def read(self, progress: Progress) -> None:
        act, self._act = self._act, None
        if act is not None:
            act()

    def wrote(self, piece: str, likely: object = ()) -> None:
        """What is written is in the answer too."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = build(Settings(folder=tmp_path / "server", budget=BUDGET))
    yield made
    made.close()


def begin_session(service: Service, text: str) -> None:
    method, budget = service.defaults.choose(Options())
    service.turn(lambda: service.sessions.create(ME, "shore", method, budget))(Listening())
    service.read(ME, "shore", Document.from_text(text, "shore.txt"), Listening())


def ask(service: Service, listener: Listening) -> Answered:
    message = Message("user", (Passage(f"{PLAIN}\n\n{QUESTION}", "message 1"),))
    options = Options(session="shore")
    asked = Asked(owner=ME, messages=[message], sampling={"max_new_tokens": 8}, options=options)
    return service.answer(asked, listener)


def test_what_was_asked_before_a_session_read_on_is_not_found_afterwards(service: Service) -> None:
    begin_session(service, PLAIN)
    more = Document.from_text(f"{FACT} It was cold.", "more.txt")
    before = ask(service, Listening(lambda: service.sessions.read(ME, "shore", more, lambda _: None)))
    after = ask(service, Listening())
    assert ANSWER not in before.text
    assert after.text.strip() == ANSWER
    again = ask(service, Listening())
    assert again.text.strip() == ANSWER
    assert again.cached_tokens > after.cached_tokens


def test_a_session_that_is_deleted_while_somebody_waits_for_it_is_not_found(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_session(service, PLAIN)

    def delete_and_go_on() -> None:
        named = service.sessions.get(ME, "shore")
        named.changing = threading.Event()

        def delete(changed: threading.Event) -> None:
            named.changing = None
            service.sessions.delete(ME, "shore")

        monkeypatch.setattr(service.turns, "wait", delete)
        with service.sessions._changing(ME, "shore", lambda _: 0):
            raise AssertionError("it is gone")

    with pytest.raises(NotFound):
        service.turn(delete_and_go_on)(Listening())
    with pytest.raises(NotFound):
        ask(service, Listening())


def test_a_damaged_session_can_be_deleted(service: Service) -> None:
    begin_session(service, PLAIN)
    service.sessions.close()
    folder = service.sessions.folder / ME / "shore"
    (folder / "session.json").write_text("{")
    service.turn(lambda: service.sessions.delete(ME, "shore"))(Listening())
    assert not folder.exists()


class Gone:
    """A request whose client has gone."""

    async def is_disconnected(self) -> bool:
        return True


def blocked(workers: Workers) -> threading.Event:
    """Have all workers wait for an event."""
    go_on = threading.Event()
    for _ in range(workers.parallel):
        workers.submit(lambda: go_on.wait(20))
    return go_on


def test_who_goes_while_waiting_in_the_queue_leaves_it() -> None:
    async def main() -> None:
        workers, begun = Workers(1, 4), []
        go_on = blocked(workers)
        try:
            running = Running(workers, begun.append)
            assert workers.waiting == 1
            with pytest.raises(HTTPException) as caught:
                await asyncio.wait_for(running.result(Gone()), 10)
            assert caught.value.status_code == 499
            assert workers.waiting == 0
        finally:
            go_on.set()
            workers.close()
        assert not begun

    asyncio.run(main())


def test_a_short_question_need_not_wait_for_those_who_wait_for_a_book(tmp_path: Path) -> None:
    book, done = filler(200), []

    def asks(name: str, text: str) -> None:
        inside.post(CHAT, json=body(text)).raise_for_status()
        done.append(name)

    with app_client(tmp_path / "server", parallel=2) as inside, ThreadPoolExecutor(4) as pool:
        works = [pool.submit(asks, "reads", book)]
        service: Service = inside.app.state.farspan.service
        wait_for(lambda: service.room.taken)
        works += [pool.submit(asks, "waits", f"{book}\n\nThink."), pool.submit(asks, "waits", f"{book}\n\nLook.")]
        wait_for(lambda: inside.app.state.farspan.workers.waiting == 2)
        works.append(pool.submit(asks, "short", FACT))
        for work in works:
            work.result(60)
    assert done[0] == "short"


def test_a_stream_that_is_broken_off_before_it_begins_stops_the_work() -> None:
    async def main() -> None:
        workers, begun = Workers(1, 4), []
        go_on = blocked(workers)

        async def events() -> Any:
            yield {}

        async def broken(_message: object) -> None:
            raise OSError("the client went away")

        async def silent() -> dict[str, str]:
            await asyncio.sleep(20)
            return {"type": "http.disconnect"}

        try:
            response = streamed(Running(workers, begun.append), events())
            with pytest.raises(OSError):
                await response({"type": "http", "method": "POST"}, silent, broken)
            assert workers.waiting == 0
        finally:
            go_on.set()
            workers.close()
        assert not begun

    asyncio.run(main())


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"{text}\n\n{QUESTION}"}], "max_tokens": 8, **more}


def test_many_at_once_are_all_answered(app: TestClient) -> None:
    service: Service = app.app.state.farspan.service
    asked = [(filler(length, at / 4), at % 2) for length in (12, 20, 30) for at in range(1, 4)] * 2

    def one(text: str, stream: bool) -> str:
        reply = app.post(CHAT, json=body(text, stream=bool(stream)))
        assert reply.status_code == 200, reply.text
        app.post("/tokenize", json={"content": text})
        app.get("/metrics")
        if not stream:
            return str(reply.json()["choices"][0]["message"]["content"])
        chunks = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda pair: one(*pair), asked))
    assert [reply.strip() for reply in replies] == [ANSWER] * len(asked)
    state = app.app.state.farspan
    wait_for(lambda: state.workers.running == 0)
    assert service.room.taken == 0
    assert not any(node.reading for root in service._roots.values() for node in tree(root))


def tree(root: Any) -> Iterator[Any]:
    yield root
    for child in root.children.values():
        yield from tree(child)


def test_a_server_that_comes_back_has_its_sessions_and_what_was_read(tmp_path: Path) -> None:
    text = filler(60)
    with app_client(tmp_path / "server") as first:
        whole = first.post(CHAT, json=body(text)).json()
        first.post("/v1/sessions", json={"id": "shore"})
        first.post("/v1/sessions/shore/read", json={"text": text, "name": "shore.txt"})
        stored = first.post("/v1/responses", json={"input": f"{FACT}\n\n{QUESTION}", "max_output_tokens": 8}).json()
    with app_client(tmp_path / "server") as second:
        again = second.post(CHAT, json=body(text)).json()
        assert again["choices"][0]["message"] == whole["choices"][0]["message"]
        usage = again["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > 0.9 * usage["prompt_tokens"]
        asked = body("", farspan={"session": "shore"})
        assert ANSWER in second.post(CHAT, json=asked).json()["choices"][0]["message"]["content"]
        assert second.get(f"/v1/responses/{stored['id']}").json() == stored


def test_health_says_that_loading_failed_whatever_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Settings) -> Service:
        raise ZeroDivisionError("nobody has thought of this")

    monkeypatch.setattr(state, "build", failing)
    with TestClient(application.create(Settings(folder=tmp_path))) as client:
        wait_for(lambda: "nobody has thought of this" in client.get("/health").text)
        assert client.get("/health").status_code == 503
