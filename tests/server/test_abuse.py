"""What a server meets that means it ill, or that was written in a hurry: it says what is wrong and goes on."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import ANSWER, FACT, QUESTION, Running, filler, running_server, start, wait_for

CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": f"{FACT}\n\n{QUESTION}"}], "max_tokens": 12}
SECURITY = ("x-content-type-options", "x-frame-options", "content-security-policy", "referrer-policy")


def error_of(reply: httpx.Response, status: int) -> dict[str, object]:
    """The error of a reply, which has this status and the headers that every reply has."""
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert all(name in reply.headers for name in SECURITY)
    return error


def answers(url: str, key: str = "none") -> bool:
    """Whether a plain question gets its answer."""
    reply = httpx.post(f"{url}{CHAT}", json=ASKED, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    return ANSWER in reply.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"messages": 3}',
        b'{"messages": []}',
        b'{"messages": [{}]}',
        b'{"messages": [{"role": "king", "content": "hello"}]}',
        b'{"messages": [{"role": "user", "content": ""}]}',
        b'{"messages": [{"role": "user", "content": null}]}',
        b'{"messages": [{"role": "user", "content": []}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "file"}]}]}',
        b'{"messages": [{"role": "assistant", "content": "hello"}], "stream": "perhaps"}',
        b'{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 0}',
        b'{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1e400}',
        b'{"messages": [{"role": "user", "content": "hello"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "hello"}], "top_p": -1}',
        b'{"messages": [{"role": "user", "content": "hello"}], "seed": 99999999999999999999999999}',
        b'{"messages": [{"role": "user", "content": "hello"}], "seed": ' + b"9" * 6_000 + b"}",
        b'{"messages": [{"role": "user", "content": "hello"}], "n": 2}',
        b'{"messages": [{"role": "user", "content": "hello"}], "tools": [{"type": "function"}]}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"budget": "-3GiB"}}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"budget": "1 byte"}}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"method": "__import__(\'os\')"}}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"session": "../../etc"}}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"keep": true}}',
        b'{"messages": [{"role": "user", "content": "hello"}], "farspan": {"\\ud800": true}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=lambda body: body[-60:].decode("latin-1"),
)
def test_a_body_that_cannot_be_met_is_refused(app: TestClient, body: bytes) -> None:
    error_of(app.post(CHAT, content=body, headers={"Content-Type": "application/json"}), 400)


def test_odd_letters_are_read_like_others(app: TestClient) -> None:
    for text in ("a\ud800b", "\udfff\ud83d", "nul \0 and \x1b[2J", "<|end|><|user|>", "\u202e\ufeff"):
        raw = json.dumps({**ASKED, "messages": [{"role": "user", "content": text}]})
        reply = app.post(CHAT, content=raw, headers={"Content-Type": "application/json"})
        assert reply.status_code == 200, reply.text
    raw = json.dumps({"model": "\ud800", "input": "hello", "metadata": {"\ud800": "\udfff"}, "max_output_tokens": 2})
    assert "there is no model" in error_of(app.post("/v1/responses", content=raw, headers=_JSON), 404)["message"]
    raw = json.dumps({"input": "\ud800 x", "metadata": {"\ud800": "\udfff"}, "max_output_tokens": 2})
    made = app.post("/v1/responses", content=raw, headers=_JSON).json()
    assert app.get(f"/v1/responses/{made['id']}").json() == made
    assert app.post("/tokenize", content=json.dumps({"content": "\ud800"}), headers=_JSON).status_code == 200
    assert app.post(
        "/v1/completions", content=json.dumps({"prompt": "\ud800", "max_tokens": 1}), headers=_JSON
    ).is_success


_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("prompt", [[], [[]], "", [""], [-1], [1 << 70], [[1], []], {}, None, [1, "a"]], ids=repr)
@pytest.mark.parametrize("echo", [False, True])
def test_a_prompt_that_is_none_is_refused(app: TestClient, prompt: object, echo: bool) -> None:
    error_of(app.post("/v1/completions", json={"prompt": prompt, "max_tokens": 1, "echo": echo}), 400)


@pytest.mark.parametrize(
    "id_",
    ["file-0", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd", "file-" + "0" * 32, "a%00b", "x" * 5_000],
)
def test_ids_lead_nowhere_else(app: TestClient, id_: str) -> None:
    for path in (f"/v1/files/{id_}/content", f"/v1/files/{id_}/text", f"/v1/responses/{id_}/input_items"):
        error_of(app.get(path), 404)
    for path in (f"/v1/sessions/{id_}/messages", f"/web/{id_}.js", f"/v1/models/{id_}"):
        assert app.get(path).status_code in (400, 404)
    for path in (f"/v1/sessions/{id_}/read", f"/v1/sessions/{id_}/fork"):
        assert app.post(path, json={"text": "some text"}).status_code in (400, 404)


@pytest.mark.parametrize("id_", ["../x", "/etc", "a/b", "", ".", "..", "a\0b", "x" * 65, "\ud800", "a\nb", "\u00e4"])
def test_sessions_have_plain_names(app: TestClient, id_: str) -> None:
    reply = app.post("/v1/sessions", content=json.dumps({"id": id_}), headers=_JSON)
    if id_:
        error_of(reply, 400)
    else:
        app.delete(f"/v1/sessions/{reply.json()['id']}")


def test_a_session_that_cannot_be_begun_leaves_its_name_free(app: TestClient) -> None:
    error_of(app.post("/v1/sessions", json={"id": "again", "budget": "1KiB"}), 400)
    error_of(app.post("/v1/sessions/again/read", json={"text": "some text"}), 404)
    assert app.post("/v1/sessions", json={"id": "again"}).is_success
    taken = error_of(app.post("/v1/sessions", json={"id": "again"}), 409)
    assert "/" not in str(taken["message"])
    error_of(app.post("/v1/sessions/again/read", json={"text": " "}), 400)
    error_of(app.post("/v1/sessions/again/read", json={}), 400)
    error_of(app.post("/v1/sessions/again/read", json={"file_id": "file-0"}), 404)
    assert app.delete("/v1/sessions/again").is_success
    error_of(app.delete("/v1/sessions/again"), 404)


@pytest.mark.parametrize(
    "name",
    [
        "../../up.txt",
        "/etc/passwd",
        "..\\..\\up.txt",
        "a\0b.txt",
        "x" * 400 + ".txt",
        "x." + "\u20ac" * 200,
        "...",
        "%2e%2e%2fx",
        ".txt",
    ],
    ids=lambda name: name[:20],
)
def test_a_file_keeps_only_the_end_of_its_name(app: TestClient, name: str) -> None:
    reply = app.post("/v1/files", files={"file": (name, b"some text")}, data={"purpose": "user_data"})
    if reply.status_code == 400:  # a name that the form itself does not carry
        error_of(reply, 400)
        return
    stored = reply.json()
    assert "/" not in stored["filename"] and "\\" not in stored["filename"]
    assert 0 < len(stored["filename"]) <= 200
    assert app.get(f"/v1/files/{stored['id']}/content").content == b"some text"
    assert app.get(f"/v1/files/{stored['id']}/text?start=5&end=99999999999999999999").json()["text"] == "text"
    assert app.delete(f"/v1/files/{stored['id']}").is_success


def test_a_file_that_is_no_text_is_refused_and_not_kept(app: TestClient) -> None:
    before = app.get("/v1/files").json()
    for name, data in (
        ("a.bin", bytes(range(256))),
        ("empty.txt", b""),
        ("a.pdf", b"PK\x03\x04zip"),
        ("a.docx", b"no"),
    ):
        reply = app.post("/v1/files", files={"file": (name, data)})
        if reply.status_code == 400:
            message = str(error_of(reply, 400)["message"])
            assert name in message and "/files/" not in message
        else:
            app.delete(f"/v1/files/{reply.json()['id']}")
    error_of(app.post("/v1/files", json={"file": "text"}), 400)
    error_of(app.post("/v1/files", data={"purpose": "user_data"}), 400)
    error_of(
        app.post("/v1/files", content=b"--x\r\nbroken", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        400,
    )
    assert app.get("/v1/files").json() == before


def test_other_methods_and_paths_are_refused(app: TestClient) -> None:
    error_of(app.get(CHAT), 405)
    error_of(app.put("/v1/files"), 405)
    error_of(app.get("/v1/nothing"), 404)
    error_of(app.post("/v1/embeddings", json={}), 404)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[bad", "http://testserver.evil.example", "x"]
)
def test_pages_of_other_sites_are_refused(app: TestClient, origin: str) -> None:
    reply = app.post(CHAT, json=ASKED, headers={"Origin": origin})
    error_of(reply, 403)
    assert "access-control-allow-origin" not in reply.headers


def test_the_servers_own_page_may_ask(app: TestClient) -> None:
    reply = app.get("/v1/models", headers={"Origin": "http://testserver"})
    assert reply.is_success
    assert "access-control-allow-origin" not in reply.headers


def test_other_names_of_the_host_are_refused(server: Running) -> None:
    port = urlsplit(server.url).port
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "[bad", "a b", ""):
        error_of(httpx.get(f"{server.url}/v1/models", headers={"Host": host}), 400)
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert httpx.get(f"{server.url}/v1/models", headers={"Host": host}).is_success


def connected(server: Running, request: bytes) -> socket.socket:
    """A connection on which this has been sent."""
    place = urlsplit(server.url)
    wire = socket.create_connection((place.hostname, place.port), timeout=60)
    wire.sendall(request)
    return wire


def posted(body: object, path: str = CHAT) -> bytes:
    """A request as it goes over the wire."""
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


def idle(server: Running) -> bool:
    return server.metric("num_requests_running") == 0 and server.metric("num_requests_waiting") == 0


def test_a_client_that_sends_slowly_holds_up_nobody(server: Running) -> None:
    request = posted(ASKED)
    with connected(server, request[:150]) as wire:
        assert answers(server.url)
        for at in range(150, len(request), 40):
            wire.sendall(request[at : at + 40])
            time.sleep(0.02)
        assert wire.recv(4096).startswith(b"HTTP/1.1 200")
    with connected(server, request[:150]):
        pass
    assert answers(server.url)


def test_a_client_that_reads_slowly_gets_all_of_it(server: Running) -> None:
    got = b""
    with connected(server, posted({**ASKED, "stream": True})) as wire:
        while b"[DONE]" not in got:
            piece = wire.recv(7)
            assert piece
            got += piece
    assert idle(server)


@pytest.mark.parametrize("stream", [False, True])
def test_reading_stops_when_the_client_has_gone(server: Running, stream: bool) -> None:
    long = {"role": "user", "content": f"{filler(3_000)}\n\n{stream} {QUESTION}"}
    with connected(server, posted({**ASKED, "messages": [long], "stream": stream})):
        wait_for(lambda: server.metric("num_requests_running") == 1)
        assert answers(server.url)
    wait_for(lambda: idle(server), 5)
    assert answers(server.url)


def test_writing_stops_when_the_client_has_gone(server: Running) -> None:
    endless = {"messages": [{"role": "user", "content": "hello"}], "temperature": 2, "max_tokens": 1_000_000}
    with connected(server, posted({**endless, "stream": True})) as wire:
        wait_for(lambda: b'"content"' in wire.recv(4096))
    wait_for(lambda: idle(server), 5)
    with connected(server, posted({**endless, "stream": True})):
        pass  # gone before anything came
    time.sleep(0.2)
    wait_for(lambda: idle(server), 5)
    assert answers(server.url)


def test_the_log_says_nothing_of_what_was_said(server: Running) -> None:
    secret = "xylophone-7731"
    httpx.post(f"{server.url}{CHAT}", json={**ASKED, "messages": [{"role": "user", "content": secret}]}, timeout=60)
    httpx.post(f"{server.url}{CHAT}", json={"messages": [{"role": "user", "content": [secret]}]})
    httpx.get(f"{server.url}/v1/models?{secret}")
    httpx.get(f"{server.url}/v1/a%0AINFO%20forged")
    wait_for(lambda: "forged" in server.log())
    assert secret not in server.log()
    assert FACT not in server.log()
    assert not re.search(r"^INFO forged", server.log(), re.MULTILINE)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with little room, two keys, and a site whose pages may ask."""
    folder = tmp_path_factory.mktemp("narrow")
    (folder / "keys").write_text("first-key\n\n second-key \n")
    limits = ["--parallel", "1", "--queue", "1", "--body", "300KiB", "--upload", "2MiB"]
    options = [*limits, "--api-key-file", str(folder / "keys"), "--origin", "https://page.example"]
    with running_server(folder, *options, key="first-key") as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_only_who_has_a_key_is_let_in(narrow: Running) -> None:
    wrong = ["Bearer third-key", "Bearer", "first-key", "Basic first-key", "Bearer first-key second-key"]
    for headers in [{}, *({"Authorization": value} for value in wrong)]:
        for path in ("/v1/models", "/metrics", "/v1/files", "/v1/sessions"):
            reply = httpx.get(f"{narrow.url}{path}", headers=headers)
            assert error_of(reply, 401)["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
        error_of(httpx.post(f"{narrow.url}{CHAT}", json=ASKED, headers=headers), 401)
        error_of(httpx.post(f"{narrow.url}/v1/files", files={"file": ("a", b"x" * 100_000)}, headers=headers), 401)
        assert httpx.get(f"{narrow.url}/health", headers=headers).json() == {"status": "ok"}
    for key in ("first-key", "second-key"):
        assert httpx.get(f"{narrow.url}/v1/models", headers=bearer(key)).is_success


def test_a_body_is_not_read_for_who_has_no_key(narrow: Running) -> None:
    head = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with connected(narrow, head + b"Content-Length: 900000\r\n\r\n--x\r\n") as wire:
        assert wire.recv(4096).startswith(b"HTTP/1.1 401")


def test_what_one_key_has_another_does_not(narrow: Running) -> None:
    mine, other = narrow.client("first-key"), narrow.client("second-key")
    file = mine.files.create(file=("a.txt", b"some text"), purpose="user_data")
    response = mine.responses.create(model="farspan-tiny", input=f"{FACT}\n\n{QUESTION}", max_output_tokens=12)
    mine.post("/sessions", body={"id": "mine"}, cast_to=object)
    assert [one.id for one in mine.files.list()] == [file.id]
    assert list(other.files.list()) == []
    assert other.get("/sessions", cast_to=object)["data"] == []
    url, theirs = narrow.url, bearer("second-key")
    for path in (f"/files/{file.id}", f"/files/{file.id}/content", f"/responses/{response.id}", "/sessions/mine"):
        error_of(httpx.get(f"{url}/v1{path}", headers=theirs), 404)
        if not path.endswith("content"):
            error_of(httpx.delete(f"{url}/v1{path}", headers=theirs), 404)
    for more in (
        {"farspan": {"session": "mine"}},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}]},
    ):
        error_of(httpx.post(f"{url}{CHAT}", json={**ASKED, **more}, headers=theirs), 404)
    again = {"input": QUESTION, "previous_response_id": response.id}
    error_of(httpx.post(f"{url}/v1/responses", json=again, headers=theirs), 404)
    text = f"{filler(10)}\n\n{QUESTION}"
    cached = []
    for client in (mine, mine, other):
        reply = client.chat.completions.create(
            model="farspan-tiny", messages=[{"role": "user", "content": text}], max_tokens=12
        )
        cached.append(reply.usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == cached[2] == 0 < cached[1]
    mine.files.delete(file.id)
    mine.delete("/sessions/mine", cast_to=object)


def test_more_than_may_be_sent_is_refused(narrow: Running) -> None:
    big = {"messages": [{"role": "user", "content": "x" * 400_000}]}
    raw = json.dumps(big).encode()
    headers = {**bearer("first-key"), **_JSON}
    assert error_of(httpx.post(f"{narrow.url}{CHAT}", content=raw, headers=headers), 413)["code"] == "request_too_large"

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(raw), 50_000):
            yield raw[at : at + 50_000]

    assert "--body" in error_of(httpx.post(f"{narrow.url}{CHAT}", content=pieces(), headers=headers), 413)["message"]
    for size in ((2 << 20) + 10, 4 << 20):
        files = {"file": ("a.txt", b"some text " * (size // 10 + 1))}
        error_of(httpx.post(f"{narrow.url}/v1/files", files=files, headers=bearer("first-key")), 413)
    assert httpx.get(f"{narrow.url}/v1/files", headers=bearer("first-key")).json()["data"] == []


def test_who_finds_the_queue_full_is_told_when_to_come_again(narrow: Running) -> None:
    url, headers = f"{narrow.url}{CHAT}", {"Authorization": "Bearer first-key"}
    long = {"messages": [{"role": "user", "content": f"{filler(1_200)}\n\n{QUESTION}"}]}
    keyed = posted(long).replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer first-key\r\n\r\n", 1)
    with connected(narrow, keyed):
        wait_for(lambda: narrow.metric("num_requests_running") == 1)
        with connected(narrow, keyed):
            wait_for(lambda: narrow.metric("num_requests_waiting") == 1)
            for more in ({}, {"stream": True}):
                reply = httpx.post(url, json={**ASKED, **more}, headers=headers)
                assert error_of(reply, 429)["code"] == "server_busy"
                assert int(reply.headers["retry-after"]) > 0
            assert httpx.get(f"{narrow.url}/health").is_success
        wait_for(lambda: narrow.metric("num_requests_waiting") == 0, 5)
    wait_for(lambda: idle(narrow), 5)
    assert answers(narrow.url, "first-key")


def test_a_site_that_is_named_may_ask(narrow: Running) -> None:
    asks = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(
        f"{narrow.url}{CHAT}", headers={**asks, "Access-Control-Request-Headers": "authorization"}
    )
    assert preflight.is_success
    for reply in (
        preflight,
        httpx.post(f"{narrow.url}{CHAT}", json=ASKED, headers={**bearer("first-key"), **asks}, timeout=60),
        httpx.post(f"{narrow.url}{CHAT}", json=ASKED, headers=asks),
    ):
        assert reply.headers["access-control-allow-origin"] == "https://page.example"
        assert all(name in reply.headers for name in SECURITY)
    error_of(
        httpx.get(f"{narrow.url}/v1/models", headers={**bearer("first-key"), "Origin": "https://other.example"}), 403
    )


def ended(folder: Path, *options: str) -> tuple[int, str]:
    """The exit status of a server that does not begin, and what it says."""
    process = start(folder, *options)
    try:
        process.wait(60)
    finally:
        process.kill()
    return process.returncode, (folder / "log").read_text()


def test_a_server_that_others_reach_wants_a_key(tmp_path: Path) -> None:
    status, said = ended(tmp_path, "--host", "0.0.0.0")
    assert status == 2
    assert "--insecure" in said and "Traceback" not in said
    (tmp_path / "keys").write_text("\n \n")
    status, said = ended(tmp_path, "--api-key-file", str(tmp_path / "keys"))
    assert status == 2
    assert "no key" in said


def test_an_address_in_use_is_one_clear_message(server: Running, tmp_path: Path) -> None:
    status, said = ended(tmp_path, "--port", str(urlsplit(server.url).port))
    assert status == 2
    assert "cannot be listened at" in said and "--port" in said
    assert len(said.strip().splitlines()) <= 2


def test_health_says_why_a_model_cannot_be_loaded(tmp_path: Path) -> None:
    with running_server(
        tmp_path, "-m", str(tmp_path / "nowhere"), "--insecure", "--host", "0.0.0.0", ready=503
    ) as failing:
        place = failing.url.replace("0.0.0.0", "127.0.0.1")
        wait_for(lambda: "nowhere" in httpx.get(f"{place}/health").text, 60)
        assert "cannot be loaded" in error_of(httpx.get(f"{place}/health"), 503)["message"]
        assert "nowhere" in error_of(httpx.post(f"{place}{CHAT}", json=ASKED), 503)["message"]
        assert httpx.get(f"{place}/metrics").is_success
        assert re.search(r"ERROR .*nowhere", failing.log())
        assert "Traceback" not in failing.log()


def test_a_folder_has_one_server(server: Running, tmp_path: Path) -> None:
    folder = server.log_path.parent / "server"
    with running_server(tmp_path, "--folder", str(folder), ready=503) as second:
        wait_for(lambda: "another server works in" in httpx.get(f"{second.url}/health").text, 60)
    assert answers(server.url)
    assert idle(server)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens"])
def test_a_response_to_nothing_is_refused(app: TestClient, path: str) -> None:
    assert "no messages" in error_of(app.post(path, json={"input": []}), 400)["message"]
