"""An OpenAI-compatible endpoint as subject, asked over HTTP on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from farspan.errors import ModelError
from farspan.evals import Plan, Results, run
from farspan.evals.config import describe
from farspan.evals.subjects.endpoint import EndpointSubject
from farspan.tasks import Turn


class Handler(BaseHTTPRequestHandler):
    """Answers with the number that follows the asked key in the messages, or breaks as it is told."""

    bodies: ClassVar[list[dict[str, Any]]] = []
    broken: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/bare"):
            self._send(404, {"error": {"message": "nothing is listed", "type": "x", "param": None, "code": "x"}})
            return
        self._send(
            200, {"object": "list", "data": [{"id": "served", "object": "model", "created": 0, "owned_by": "x"}]}
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body)
        if self.broken:
            self._send(400, {"error": {"message": "context_length_exceeded", "type": "x", "param": None, "code": "x"}})
            return
        text = body["messages"][-1]["content"]
        context = body["messages"][0]["content"]
        key = text.rsplit("What is the number of ", 1)[1].partition("?")[0]
        told = f"The number of {key} is "
        value = context.split(told)[1].split(".")[0] if told in context else "?"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": value}}
        read = int(sum(len(message["content"]) for message in body["messages"]) / 4 * self.share)
        usage = {"prompt_tokens": read, "completion_tokens": 3, "total_tokens": read + 3}
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": "served"}
        self._send(200, {**head, "choices": [choice], "usage": usage})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def url() -> Iterator[str]:
    Handler.bodies.clear()
    Handler.broken, Handler.share = False, 1.0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def measured(url: str, folder: Path) -> Results:
    subject = EndpointSubject(url)
    assert subject.model == "served"
    plan = Plan(
        tasks=("needle(turns=2)",),
        methods=("endpoint",),
        lengths=(400,),
        questions=4,
        modes=("multi_request", "multi_turn"),
    ).checked()
    with Results.begin(folder, describe(plan, subject)) as results:
        run(plan, subject, results)
    return results


def test_a_served_model_is_measured(url: str, tmp_path: Path) -> None:
    rows = [row for row in measured(url, tmp_path).rows if row["context"] == "full"]
    assert len(rows) == 8
    assert {row["score"] for row in rows} == {1.0}
    assert {row["forked"] for row in rows} == {False}
    assert all(250 < row["prompt_tokens"] <= 400 for row in rows)
    assert all(row["counts"] == {} and row["sourced"] is None for row in rows)


def test_a_conversation_is_sent_whole_with_the_right_answers(url: str) -> None:
    reading = EndpointSubject(url, "served")
    turns = tuple(
        Turn(f"What is the number of {key}?", value, max_new_tokens=5) for key, value in (("a", "1"), ("b", "2"))
    )
    with reading.read("The number of a is 1. The number of b is 2.", "endpoint", "") as opened:
        assert [reply.text for reply in opened.converse(turns, "gold")] == ["1", "2"]
    roles = [[message["role"] for message in body["messages"]] for body in Handler.bodies]
    assert roles == [["user"], ["user", "assistant", "user"]]
    assert Handler.bodies[1]["temperature"] == 0 and Handler.bodies[1]["max_tokens"] == 5


def test_a_refusal_is_a_row_that_says_why(url: str, tmp_path: Path) -> None:
    Handler.broken = True
    rows = measured(url, tmp_path).rows
    assert all("context_length_exceeded" in row["error"] for row in rows)


def test_a_server_that_truncates_is_found_out(url: str, tmp_path: Path) -> None:
    Handler.share = 0.3
    rows = measured(url, tmp_path).rows
    assert all("truncates" in row["error"] for row in rows)


@pytest.mark.parametrize("answer", [{"error": {"message": "busy"}}, {"choices": []}, {"choices": [{"index": 0}]}])
def test_what_is_no_reply_is_a_row_that_says_so(
    url: str, tmp_path: Path, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "do_POST", lambda self: self._send(200, answer))
    rows = measured(url, tmp_path).rows
    assert rows and all("ModelError" in row["error"] for row in rows)


def test_the_prefix_of_an_answer_goes_behind_the_question(url: str) -> None:
    turn = Turn("What is the number of a?", "1", prefix="It is", max_new_tokens=5)
    with EndpointSubject(url, "served").read("The number of a is 1.", "endpoint", "") as opened:
        opened.ask(turn)
    assert Handler.bodies[0]["messages"][0]["content"].endswith("What is the number of a?\nIt is")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
        EndpointSubject("http://127.0.0.1:9/v1", retries=0)


@pytest.mark.parametrize("model", [None, "served"])
def test_a_server_that_is_not_there_is_told_at_once(model: str | None) -> None:
    with pytest.raises(ModelError, match=r"no server can be reached at http://127\.0\.0\.1:9/v1") as told:
        EndpointSubject("http://127.0.0.1:9/v1", model, retries=0)
    assert "start it" in told.value.fix


def test_a_model_that_is_named_need_not_be_listed(url: str) -> None:
    bare = url.replace("/v1", "/bare")
    assert EndpointSubject(url, "another").model == EndpointSubject(bare, "another").model == "another"
    with pytest.raises(ModelError, match="lists no model"):
        EndpointSubject(bare)
