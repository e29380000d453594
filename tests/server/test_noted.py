"""What a session has read can be quoted, and what was said in it is noted with its account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from farspan.engine.conversation import Message, Passage
from farspan.server.api.app import create
from farspan.server.asked import Asked, Options
from farspan.server.building import PUBLIC, Settings
from farspan.server.service import Service
from farspan.server.turns import Job, Stopped
from farspan.types import Progress
from tests.server.texts import ANSWER, FACT, QUESTION, with_fact

TEXT = "caf\u00e9 \u6f22\u5b57 " + with_fact(3000)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with a session `read` that has read a text named `log`."""
    app = create(Settings(folder=tmp_path_factory.mktemp("server"), budget="16MiB"))
    with TestClient(app, base_url="http://localhost") as made:
        while made.get("/health").status_code == 503:
            pass
        made.post("/v1/sessions", json={"id": "read"}).raise_for_status()
        made.post("/v1/sessions/read/read", json={"text": TEXT, "name": "log"}).raise_for_status()
        yield made


@pytest.fixture
def session(client: TestClient, request: pytest.FixtureRequest) -> str:
    """A session of the test's own that has read the text."""
    name: str = request.node.name[:64]
    client.post("/v1/sessions/read/fork", json={"id": name}).raise_for_status()
    return name


def asks(client: TestClient, session: str, **options: Any) -> dict[str, Any]:
    """Ask for the number of the lantern."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "farspan": {"session": session, **options}}
    answered = client.post("/v1/chat/completions", json=body)
    answered.raise_for_status()
    found: dict[str, Any] = answered.json()
    return found


def test_a_session_quotes_what_its_sources_name(client: TestClient) -> None:
    source = asks(client, "read")["context"]["sources"][0]
    assert source["text"] == FACT
    where = {name: source[name] for name in ("file", "start", "end")}
    assert client.get("/v1/sessions/read/text", params=where).json()["text"] == FACT
    assert client.get("/v1/sessions/read/text", params={"file": "log"}).json()["text"] == TEXT
    around = client.get("/v1/sessions/read/text", params={**where, "start": source["start"] - 9}).json()
    assert around == {"id": "read", "file": "log", "start": source["start"] - 9, "text": TEXT[: source["end"]][-51:]}
    beyond = {"file": "log", "start": len(TEXT) - 3, "end": len(TEXT) + 9}
    assert client.get("/v1/sessions/read/text", params=beyond).json()["text"] == TEXT[-3:]


def test_of_texts_with_one_name_the_latest_that_reaches_there_is_quoted(client: TestClient, session: str) -> None:
    client.post(f"/v1/sessions/{session}/read", json={"text": "short", "name": "log"}).raise_for_status()
    at = f"/v1/sessions/{session}/text"
    assert client.get(at, params={"file": "log", "end": 4}).json()["text"] == "shor"
    assert client.get(at, params={"file": "log", "start": 5, "end": 8}).json()["text"] == TEXT[5:8]


def test_what_was_not_read_is_not_quoted(client: TestClient) -> None:
    answer = client.get("/v1/sessions/read/text", params={"file": "other"})
    assert answer.status_code == 400
    assert "has not read 'other'" in answer.json()["error"]["message"]
    assert client.get("/v1/sessions/none/text", params={"file": "log"}).status_code == 404
    assert client.get("/v1/sessions/read/text", params={"file": "log", "start": -1}).status_code == 400


def test_kept_turns_are_noted_with_their_sources(client: TestClient, session: str) -> None:
    context = asks(client, session, keep=True)["context"]
    question, answer = client.get(f"/v1/sessions/{session}/messages").json()["data"]
    assert question == {"role": "user", "content": QUESTION}
    assert answer["role"] == "assistant"
    assert answer["content"].strip() == ANSWER
    assert answer["complete"]
    assert answer["sources"] == context.pop("sources")
    assert answer["context"] == context
    assert answer["sources"][0]["text"] == FACT
    assert context["seen"] == client.get(f"/v1/sessions/{session}").json()["context"]["seen"]


def test_what_is_asked_without_keeping_leaves_no_note(client: TestClient, session: str) -> None:
    asks(client, session)
    assert client.get(f"/v1/sessions/{session}/messages").json()["data"] == []


class Impatient:
    """One who stops an answer at its first piece."""

    def check(self) -> None: ...

    def began(self, job: Job) -> None:
        self.job = job

    def read(self, progress: Progress) -> None: ...

    def wrote(self, piece: str, likely: object = ()) -> None:
        self.job.stop()


def test_an_answer_that_was_stopped_is_noted_as_far_as_it_came(client: TestClient, session: str) -> None:
    service: Service = client.app.state.farspan.service  # type: ignore[attr-defined]
    messages = [Message("user", (Passage(QUESTION),))]
    options = Options(session=session, keep=True)
    with pytest.raises(Stopped):
        service.answer(Asked(owner=PUBLIC, messages=messages, options=options), Impatient())
    folder: Path = service.sessions.folder / PUBLIC / session
    question, answer = map(json.loads, (folder / "turns.jsonl").read_text(encoding="utf-8").splitlines())
    assert question["content"] == QUESTION
    assert not answer["complete"]
    assert len(answer["content"]) < len(ANSWER)
    assert asks(client, session, keep=True)["choices"][0]["message"]["content"].strip() == ANSWER


def test_a_message_that_was_refused_leaves_no_note(client: TestClient, session: str) -> None:
    body = {"messages": [{"role": "user", "content": " "}], "farspan": {"session": session, "keep": True}}
    assert client.post("/v1/chat/completions", json=body).status_code == 400
    assert client.get(f"/v1/sessions/{session}/messages").json()["data"] == []
