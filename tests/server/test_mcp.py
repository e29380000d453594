"""The tools of the Model Context Protocol, called by the SDK's own client, by stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")
import httpx2
from click.testing import CliRunner
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from farspan.cli.app import app
from farspan.folders import hold
from farspan.server.api.state import State
from farspan.server.building import PUBLIC, Settings
from farspan.server.mcp.serving import local_cards, server
from farspan.server.mcp.tools import Tools
from tests.server.conftest import running_server

FILLER = "The grass is green and the sky is blue. "
BOOK = FILLER * 60 + "The number of the copper lantern is 48213. " + FILLER * 60
QUESTION = "What is the number of the copper lantern?"
LONG = FILLER * 20_000
SERVED = ["--budget", "32MiB"]
DELTA = {"Authorization": "Bearer delta"}


@asynccontextmanager
async def by_stdio(folder: Path, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a server of its own."""
    command = ["-m", "farspan", "mcp", "--folder", str(folder), *SERVED]
    process = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    async with Client(process, mode=mode, read_timeout_seconds=50) as client:
        yield client


@asynccontextmanager
async def by_http(url: str, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client of a server that runs."""
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=50) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that knows the keys alpha, beta, gamma and delta."""
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "keys").write_text("alpha\nbeta\ndelta\n")
    keys = ["--api-key-file", str(folder / "keys")]
    with running_server(folder, *keys, env={"FARSPAN_API_KEY": "gamma"}) as running:
        yield running.url


async def failing(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that cannot do what it is asked."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error and result.structured_content is None
    (said,) = [part.text for part in result.content]
    assert "\n" not in said and "Traceback" not in said
    return said


async def working(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The values that a tool gives back."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def check_reading_and_asking(client: Client) -> None:
    """Read the book, ask about it, and see what the answer drew on."""
    steps: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, words: str | None) -> None:
        steps.append((done, total, words))

    book = {"session": "book", "text": BOOK, "name": "lantern.txt"}
    result = await client.call_tool("read", book, progress_callback=progress)
    (said,) = [part.text for part in result.content]
    assert said.startswith("read 1,") and "| dropped 0 |" in said
    read = result.structured_content
    account = read["context"]
    assert account["seen"] == account["kept"] + account["stored"] + account["dropped"] > read["tokens"] > 1500
    assert set(account["kv_bytes"]) == {"device", "host", "disk"} and account["exact"] is False
    done = [step[0] for step in steps]
    assert len(done) > 5 and done == sorted(done) and done[-1] == len(BOOK)
    assert steps[0][1] == len(BOOK) and "lantern.txt" in (steps[0][2] or "")

    again = await working(client, "read", **book)
    assert again == {**read, "tokens": 0, "context": {**account, "kv_bytes": again["context"]["kv_bytes"]}}

    result = await client.call_tool("ask", {"session": "book", "question": QUESTION})
    assert result.content[0].text == result.structured_content["answer"] == "48213"
    assert "lantern.txt:1" in result.content[1].text
    asked = result.structured_content
    source = asked["sources"][0]
    assert BOOK[source["start"] : source["end"]] == source["text"] == "The number of the copper lantern is 48213."
    assert (source["file"], source["line"]) == ("lantern.txt", 1) and source["weight"] > 0.5
    assert asked["usage"]["cached_tokens"] == account["seen"] and asked["finished"]

    shown = await working(client, "sources", session="book")
    assert shown == {"session": "book", "answer": "48213", "sources": asked["sources"]}
    described = (await working(client, "sessions", session="book"))["described"]
    assert described["files"] == [{"file": "lantern.txt", "chars": len(BOOK), "complete": True}]
    assert described["context"]["seen"] == account["seen"] and not described["busy"]

    kept = await working(client, "ask", session="book", question=QUESTION, keep=True, max_tokens=1)
    assert not kept["finished"]
    after = (await working(client, "sessions", session="book"))["described"]["context"]
    assert after["seen"] > account["seen"]


async def check_stopping(client: Client) -> None:
    """A call that its client gives up ends, so that what it was reading is free for others."""
    seen = asyncio.Event()

    async def progress(*_: Any) -> None:
        seen.set()

    reading = asyncio.create_task(
        client.call_tool("read", {"session": "long", "text": LONG}, progress_callback=progress)
    )
    await asyncio.wait_for(seen.wait(), 30)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    end = time.monotonic() + 15
    while (described := (await working(client, "sessions", session="long"))["described"])["busy"]:
        assert time.monotonic() < end, "it is still read"
        await asyncio.sleep(0.1)
    assert not described["files"][0]["complete"] and described["files"][0]["chars"] < len(LONG)


async def check_what_cannot_be(client: Client) -> None:
    """What both transports refuse."""
    assert "there is no session 'nobody'; read a text" in await failing(client, "ask", session="nobody", question="?")
    assert "there is no session" in await failing(client, "sources", session="nobody")
    assert "cannot name a session" in await failing(client, "sessions", session="../book")
    assert "is empty" in await failing(client, "read", session="blank", text=" \n")
    assert "exactly one of text and" in await failing(client, "read", session="blank")
    assert "session: Field required; read takes session, text" in await failing(client, "read", text="words")
    assert "max_tokens: " in await failing(client, "ask", session="book", question="?", max_tokens=0)
    assert "the question is empty" in await failing(client, "ask", session="book", question=" ")
    assert "blank" not in (await working(client, "sessions"))["sessions"]
    with pytest.raises(MCPError, match="there is no tool 'write'; known: read, ask, sources, sessions"):
        await client.call_tool("write", {})


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run one test's work, in a minute."""
    asyncio.run(asyncio.wait_for(work, 60))


def test_stdio(tmp_path: Path) -> None:
    async def work() -> None:
        async with by_stdio(tmp_path / "server") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert list(tools) == ["read", "ask", "sources", "sessions"]
            assert set(tools["read"].input_schema["properties"]) == {"session", "text", "name", "path"}
            for tool in tools.values():
                assert tool.description and tool.output_schema
                assert all("description" in one for one in tool.input_schema["properties"].values())
            await check_reading_and_asking(client)
            await check_stopping(client)
            await check_what_cannot_be(client)
            assert "nothing was asked of session 'long'" in await failing(client, "sources", session="long")
            await check_paths(client, tmp_path)
        async with by_stdio(tmp_path / "server", mode="legacy") as client:
            assert client.protocol_version < "2026"
            assert (await working(client, "sessions"))["sessions"] == ["book", "files", "long"]
            assert (await working(client, "ask", session="book", question=QUESTION))["answer"] == "48213"

    run(work())


async def check_paths(client: Client, folder: Path) -> None:
    """Files and folders of this machine."""
    texts = folder / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text(FILLER)
    (texts / "b.md").write_text("The number of the copper lantern is 48213.\n")
    read = await working(client, "read", session="files", path=str(texts))
    assert read["tokens"] > 20
    (texts / "c.txt").write_text(FILLER)
    more = await working(client, "read", session="files", path=str(texts))
    assert 0 < more["tokens"] < read["tokens"]
    answered = await working(client, "ask", session="files", question=QUESTION)
    assert answered["answer"] == "48213" and answered["sources"][0]["file"] == str(texts / "b.md")
    assert "nothing.txt does not exist" in await failing(client, "read", session="new", path=str(texts / "nothing.txt"))
    assert "does not exist" in await failing(client, "read", session="new", path="-")
    assert "file_id: Extra inputs" in await failing(client, "read", session="new", file_id="file-1")
    assert "new" not in (await working(client, "sessions"))["sessions"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [(["--budget", "much"], 4, "is not a size"), (["--method", "magic"], 2, "magic"), (["--memory", "8K"], 2, "bytes")],
)
def test_options_that_do_not_go(tmp_path: Path, options: list[str], code: int, said: str) -> None:
    done = CliRunner().invoke(app, ["mcp", "--folder", str(tmp_path / "server"), *options])
    assert (done.exit_code, done.stdout) == (code, "") and said in done.stderr and "fix: " in done.stderr


def test_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "farspan.server.mcp.stdio", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.stdio", None)
    done = CliRunner().invoke(app, ["mcp", "--folder", str(tmp_path)])
    assert done.exit_code == 2 and 'pip install "farspan[serve]"' in done.stderr


def test_a_folder_that_another_has_is_told_by_the_tools(tmp_path: Path) -> None:
    lock = hold(tmp_path)
    assert lock is not None

    async def work() -> None:
        state = State.of(Settings(folder=tmp_path))
        async with state.running(), Client(server(local_cards(Tools(state)), lambda _: PUBLIC)) as client:
            assert "another server works in" in await failing(client, "sessions")

    run(work())
    os.close(lock)


def test_http(url: str) -> None:
    async def work() -> None:
        async with by_http(url, "delta") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools["read"].input_schema["properties"]) == {"session", "text", "name", "file_id"}
            await check_reading_and_asking(client)
            await check_stopping(client)
            await check_what_cannot_be(client)
            said = await failing(client, "read", session="passwords", path="/etc/passwd")
            assert "over HTTP no path can be read" in said and "file_id" in said
        async with by_http(url, "delta", mode="legacy") as client:
            assert client.protocol_version < "2026"
            assert (await working(client, "ask", session="book", question=QUESTION))["answer"] == "48213"
            await check_stopping(client)

    run(work())
    with urllib.request.urlopen(_request(f"{url}/v1/sessions", **DELTA)) as reply:
        assert {"book", "long"} == {session["id"] for session in json.load(reply)["data"]}
    assert status(f"{url}/mcp", {}, Origin="https://elsewhere.example", **DELTA) == 403
    assert status(f"{url}/mcp", {}, Host="elsewhere.example", **DELTA) == 400
    assert status(f"{url}/mcp", {}, **{"Content-Length": str(65 << 20)}, **DELTA) == 413


def test_http_with_keys(url: str) -> None:
    async def work() -> None:
        async with by_http(url, "alpha") as alpha, by_http(url, "beta") as beta, by_http(url, "gamma") as gamma:
            for client in (alpha, beta, gamma):
                assert (await working(client, "sessions"))["sessions"] == []
            await working(alpha, "read", session="book", text=BOOK)
            assert "there is no session" in await failing(beta, "ask", session="book", question=QUESTION)
            assert (await working(beta, "sessions"))["sessions"] == []
            assert (await working(alpha, "ask", session="book", question=QUESTION))["answer"] == "48213"
            assert "there is no session" in await failing(beta, "sources", session="book")

            file_id = await uploaded(url, "alpha")
            assert "there is no file" in await failing(beta, "read", session="mine", file_id=file_id)
            await working(alpha, "read", session="mine", file_id=file_id)
            answered = await working(alpha, "ask", session="mine", question=QUESTION)
            assert answered["answer"] == "48213" and answered["sources"][0]["file"] == "lantern.txt"

    run(work())
    assert status(f"{url}/mcp", {}) == 401
    assert status(f"{url}/mcp", {}, Authorization="Bearer omega") == 401
    check_conversations_are_their_owners(url)


async def uploaded(url: str, key: str) -> str:
    """The id of the book, uploaded for this key."""
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
        reply = await http.post(f"{url}/v1/files", files={"file": ("lantern.txt", BOOK)})
        file_id: str = reply.json()["id"]
        return file_id


def check_conversations_are_their_owners(url: str) -> None:
    """A key cannot go on with the conversation of another, even where it knows its id."""
    accept = {"Accept": "application/json, text/event-stream"}
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    request = _request(f"{url}/mcp", begin, **accept, Authorization="Bearer alpha")
    with urllib.request.urlopen(request) as reply:
        id_ = reply.headers["Mcp-Session-Id"]
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert status(f"{url}/mcp", ping, **accept, **{"Authorization": "Bearer beta", "Mcp-Session-Id": id_}) == 404
    assert status(f"{url}/mcp", ping, **accept, **{"Authorization": "Bearer alpha", "Mcp-Session-Id": id_}) == 200


def status(url: str, body: Any, **headers: str) -> int:
    """The status that a request gets."""
    try:
        with urllib.request.urlopen(_request(url, body, **headers)) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def _request(url: str, body: Any = None, **headers: str) -> urllib.request.Request:
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
