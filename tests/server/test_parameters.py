"""OpenAI's parameters do what they say, or are refused by name."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2 as httpx
import openai
import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import ANSWER, FACT, QUESTION

CHAT, TEXT, RESPONSE = "/v1/chat/completions", "/v1/completions", "/v1/responses"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": f"{FACT}\n\n{QUESTION}"}], "max_tokens": 3},
    TEXT: {"prompt": f"{FACT} The number", "max_tokens": 3},
    RESPONSE: {"input": f"{FACT}\n\n{QUESTION}", "max_output_tokens": 3, "store": False},
}
TOOL = {"type": "function", "function": {"name": "f"}}
REFUSED = [
    (CHAT, "tools", [TOOL], "are not called here: leave it out"),
    (CHAT, "tool_choice", "required", "leave it out"),
    (CHAT, "functions", [{"name": "f"}], "are not called here: leave it out"),
    (CHAT, "function_call", {"name": "f"}, "leave it out"),
    (CHAT, "n", 2, "one answer is written"),
    (CHAT, "logit_bias", {"50256": -100}, "more or less likely"),
    (CHAT, "frequency_penalty", 0.5, "more or less likely"),
    (CHAT, "modalities", ["text", "audio"], "only text"),
    (CHAT, "top_logprobs", 2, "set logprobs to true"),
    (TEXT, "n", 2, "one answer is written"),
    (TEXT, "best_of", 3, "one answer is written"),
    (TEXT, "suffix", "the end", "behind a prompt"),
    (TEXT, "logit_bias", {"50256": -100}, "more or less likely"),
    (TEXT, "presence_penalty", -1, "more or less likely"),
    (RESPONSE, "tools", [{"type": "web_search"}], "are not called here: leave it out"),
    (RESPONSE, "top_logprobs", 2, "by a chat completion"),
    (RESPONSE, "background", True, "in the background"),
    (RESPONSE, "conversation", "conv_1", "previous_response_id"),
]
NEUTRAL = [
    (CHAT, {"tools": [], "functions": None, "logit_bias": {}, "n": 1, "tool_choice": "auto", "presence_penalty": 0.0}),
    (CHAT, {"logprobs": False, "top_logprobs": None, "modalities": ["text"], "function_call": "none", "tools": None}),
    (CHAT, {"top_logprobs": 0, "frequency_penalty": None, "n": None, "logit_bias": None, "logprobs": None}),
    (TEXT, {"best_of": 1, "suffix": "", "logit_bias": {}, "n": 1, "presence_penalty": 0, "logprobs": None}),
    (TEXT, {"best_of": None, "suffix": None, "logit_bias": None, "n": None}),
    (RESPONSE, {"tools": [], "tool_choice": "auto", "background": False, "top_logprobs": 0, "conversation": None}),
]


@pytest.mark.parametrize(("path", "name", "value", "says"), REFUSED, ids=lambda value: str(value)[:24])
def test_what_is_not_done_is_refused_by_name(app: TestClient, path: str, name: str, value: Any, says: str) -> None:
    reply = app.post(path, json={**BODIES[path], name: value})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == name
    assert error["message"].startswith(f"{name}: ") and says in error["message"]
    assert "Input should be" not in error["message"] and "\n" not in error["message"]


TEXT_PART, IMAGE = {"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": "x"}}
SAID = {"role": "user", "content": QUESTION}
MISPLACED = [
    (CHAT, {"messages": [{**SAID, "content": [TEXT_PART, IMAGE]}]}, "messages.0.content.1.type", "'image_url'"),
    (CHAT, {"messages": [{**SAID, "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type", "only text"),
    (CHAT, {"messages": [{**SAID, "content": [{"type": "\ud800{x}"}]}]}, "messages.0.content.0.type", "only text"),
    (CHAT, {"messages": [SAID, {**SAID, "content": [TEXT_PART, "more"]}]}, "messages.1.content.1", "dictionary"),
    (CHAT, {"messages": [{**SAID, "content": 3}]}, "messages.0.content", "string"),
    (CHAT, {"messages": [SAID], "stop": ["a"] * 17}, "stop", "at most 16"),
    (TEXT, {"prompt": [1, "a"]}, "prompt.1", "integer"),
    (RESPONSE, {"input": [SAID, {"type": "reasoning", "summary": []}]}, "input.1.type", "only messages"),
    (RESPONSE, {"input": [{**SAID, "content": [{"type": "input_image"}]}]}, "input.0.content.0.type", "only text"),
    (RESPONSE, {"input": [{"role": "user"}]}, "input.0.content", "required"),
    (RESPONSE, {"temperature": 9, "input": [{"type": "reasoning"}]}, "temperature", "less than"),
]


@pytest.mark.parametrize(("path", "body", "name", "says"), MISPLACED, ids=lambda value: ascii(value)[:60])
def test_what_is_wrong_is_told_by_its_place(
    app: TestClient, path: str, body: dict[str, Any], name: str, says: str
) -> None:
    reply = app.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["param"] == name
    assert error["message"].startswith(f"{name}: ") and says in error["message"]


@pytest.mark.parametrize(("path", "more"), NEUTRAL, ids=lambda value: str(value)[:60])
def test_what_asks_for_nothing_passes(app: TestClient, path: str, more: dict[str, Any]) -> None:
    reply = app.post(path, json={**BODIES[path], **more})
    assert reply.is_success, reply.text


def test_a_text_without_a_limit_has_sixteen_tokens(app: TestClient) -> None:
    prompt = {"prompt": "Some words to go on from, and no more than that."}
    given = app.post(TEXT, json={**prompt, "max_tokens": 16}).json()
    assert given["usage"]["completion_tokens"] > 1
    for more in ({"max_tokens": None}, {}):
        assert app.post(TEXT, json={**prompt, **more}).json()["choices"] == given["choices"]


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a stream."""
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_no_token_is_no_token_streamed_too(app: TestClient) -> None:
    body = {**BODIES[TEXT], "max_tokens": 0}
    whole = app.post(TEXT, json=body).json()
    streamed = events(app.post(TEXT, json={**body, "stream": True, "stream_options": {"include_usage": True}}))
    for choice in (*whole["choices"], *(one for event in streamed for one in event["choices"])):
        assert choice["text"] == "" and choice["finish_reason"] == "length"
    assert whole["usage"]["completion_tokens"] == streamed[-1]["usage"]["completion_tokens"] == 0


def test_a_chat_says_how_likely_its_tokens_were(client: openai.OpenAI) -> None:
    asked = {"model": "farspan-tiny", "messages": BODIES[CHAT]["messages"], "logprobs": True, "top_logprobs": 3}
    (choice,) = client.chat.completions.create(**asked).choices
    content = choice.logprobs.content
    assert "".join(token.token for token in content) == choice.message.content
    assert ANSWER in choice.message.content
    for token in content:
        assert bytes(token.bytes).decode() == token.token
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token  # it was drawn greedily
        assert token.top_logprobs[0].logprob == token.logprob <= 0
        assert sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1.001
    chunks = list(client.chat.completions.create(**asked, stream=True))
    found = [token for chunk in chunks for one in chunk.choices if one.logprobs for token in one.logprobs.content]
    assert [token.token for token in found] == [token.token for token in content]
    assert [token.logprob for token in found] == pytest.approx([token.logprob for token in content], abs=1e-3)
    for one in (one for chunk in chunks for one in chunk.choices):
        tokens = one.logprobs.content if one.logprobs else []
        assert "".join(token.token for token in tokens) == (one.delta.content or "")
    (bare,) = client.chat.completions.create(**{**asked, "top_logprobs": None}).choices
    assert [token.token for token in bare.logprobs.content] == [token.token for token in content]
    assert not any(token.top_logprobs for token in bare.logprobs.content)


def test_what_a_stop_string_cuts_off_has_no_logprobs(app: TestClient) -> None:
    for stream in (False, True):
        body = {**BODIES[CHAT], "max_tokens": 12, "logprobs": True, "stop": [ANSWER[2:]], "stream": stream}
        reply = app.post(CHAT, json=body)
        choices = [one for event in (events(reply) if stream else [reply.json()]) for one in event["choices"]]
        tokens = [token["token"] for one in choices if one["logprobs"] for token in one["logprobs"]["content"]]
        text = "".join((one.get("delta") or one.get("message", {})).get("content") or "" for one in choices)
        assert ANSWER[2:] not in text
        assert len("".join(tokens)) <= len(text) + 5


def test_a_streamed_text_has_the_logprobs_of_the_whole(client: openai.OpenAI) -> None:
    asked = {"model": "farspan-tiny", "prompt": f"{FACT} The number", "max_tokens": 6, "logprobs": 2}
    (whole,) = client.completions.create(**asked).choices
    chunks = [one for chunk in client.completions.create(**asked, stream=True) for one in chunk.choices]
    likely = [one.logprobs for one in chunks if one.logprobs]
    for name in ("tokens", "text_offset"):
        found = [value for one in likely for value in getattr(one, name)]
        assert found == getattr(whole.logprobs, name)[: len(found)] and len(found) > 1
    for one in chunks:
        assert one.text == ("".join(one.logprobs.tokens) if one.logprobs else "")


def test_whether_a_server_is_there_can_be_asked_without_a_body(app: TestClient) -> None:
    reply = app.head("/health")
    assert reply.status_code == 200 and reply.content == b""
