"""OpenAI's own client against a running server."""

from __future__ import annotations

import httpx2 as httpx
import openai
import pytest

from tests.server.conftest import ANSWER, FACT, QUESTION, Running, filler


def ask(client: openai.OpenAI, content: object, **options: object):
    options = {"model": "farspan-tiny", "max_tokens": 12, **options}
    return client.chat.completions.create(messages=[{"role": "user", "content": content}], **options)


def assert_adds_up(context: dict[str, object]) -> None:
    assert context["seen"] == context["kept"] + context["stored"] + context["dropped"]
    assert context["seen"] > 0
    assert context["method"] and context["budget"]


def test_models_are_listed_with_their_context(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "farspan-tiny"
    assert model.context["native_length"] == 1024
    assert client.models.retrieve("farspan-tiny").id == model.id
    with pytest.raises(openai.NotFoundError, match="this server has farspan-tiny"):
        client.models.retrieve("gpt-9")


def test_a_chat_is_answered_with_usage_and_an_account(client: openai.OpenAI) -> None:
    reply = ask(client, f"{FACT}\n\n{QUESTION}")
    assert reply.choices[0].message.content.strip() == ANSWER
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.completion_tokens_details.reasoning_tokens == 0
    assert_adds_up(reply.context)
    assert reply.context["sources"][0]["text"] == FACT


def test_a_text_longer_than_the_window_is_read_once(client: openai.OpenAI) -> None:
    text = filler(190)
    first = ask(client, f"{text}\n\n{QUESTION}")
    second = ask(client, f"{text}\n\n{QUESTION}")
    assert first.usage.prompt_tokens > 8_000
    assert first.usage.prompt_tokens_details.cached_tokens < 0.02 * first.usage.prompt_tokens
    for reply in (first, second):
        assert reply.choices[0].message.content.strip() == ANSWER
        assert_adds_up(reply.context)
    read = second.usage.prompt_tokens - second.usage.prompt_tokens_details.cached_tokens
    assert read < 0.02 * first.usage.prompt_tokens

    turns = [
        {"role": "user", "content": f"{text}\n\n{QUESTION}"},
        {"role": "assistant", "content": second.choices[0].message.content},
        {"role": "user", "content": QUESTION},
    ]
    third = client.chat.completions.create(model="farspan-tiny", messages=turns, max_tokens=12)
    read = third.usage.prompt_tokens - third.usage.prompt_tokens_details.cached_tokens
    assert read < 0.02 * first.usage.prompt_tokens
    assert third.choices[0].message.content.strip() == ANSWER


def test_a_chat_of_many_short_messages_is_read_once(client: openai.OpenAI) -> None:
    turns = [{"role": role, "content": f"{role} {at}"} for at in range(600) for role in ("user", "assistant")]
    turns.append({"role": "user", "content": f"{FACT}\n\n{QUESTION}"})
    replies = [client.chat.completions.create(model="farspan-tiny", messages=turns, max_tokens=12) for _ in range(2)]
    assert all(reply.choices[0].message.content.strip() == ANSWER for reply in replies)
    read = replies[1].usage.prompt_tokens - replies[1].usage.prompt_tokens_details.cached_tokens
    assert read < 0.02 * replies[1].usage.prompt_tokens


def test_a_stream_says_in_the_end_what_it_took(client: openai.OpenAI, server: Running) -> None:
    chunks = list(ask(client, f"{FACT}\n\n{QUESTION}", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip() == ANSWER
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert_adds_up(chunks[-1].context)


def test_a_stream_ends_with_done(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="farspan-tiny",
        messages=[{"role": "user", "content": f"{FACT}\n\n{QUESTION}"}],
        max_tokens=12,
        stream=True,
    )
    lines = [line for line in raw.http_response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith((":", "data: ")) for line in lines)


def test_progress_is_told_where_it_is_asked_for(client: openai.OpenAI) -> None:
    text = filler(60)
    chunks = list(ask(client, f"{text}\n\n{QUESTION}", stream=True, extra_body={"farspan": {"progress": True}}))
    told = [chunk.prompt_progress for chunk in chunks if getattr(chunk, "prompt_progress", None)]
    assert told
    assert all(one["processed"] <= one["total"] for one in told)


def test_the_messages_may_be_of_many_kinds(client: openai.OpenAI) -> None:
    messages = [
        {"role": "developer", "content": "Answer shortly."},
        {"role": "user", "content": [{"type": "text", "text": FACT}, {"type": "text", "text": QUESTION}]},
    ]
    reply = client.chat.completions.create(
        model="farspan-tiny", messages=messages, max_completion_tokens=12, seed=3, temperature=0, top_p=1, stop=["."],
        user="me", presence_penalty=0,
    )  # fmt: skip
    assert ANSWER in reply.choices[0].message.content


def test_a_file_stands_in_a_message(client: openai.OpenAI) -> None:
    text = filler(20)
    stored = client.files.create(file=("shore.txt", text.encode()), purpose="user_data")
    try:
        assert stored.bytes == len(text.encode())
        assert stored.id in [one.id for one in client.files.list()]
        assert client.files.retrieve(stored.id).filename == "shore.txt"
        assert client.files.content(stored.id).text == text
        content = [{"type": "file", "file": {"file_id": stored.id}}, {"type": "text", "text": QUESTION}]
        reply = ask(client, content)
        assert reply.choices[0].message.content.strip() == ANSWER
        assert reply.context["sources"][0]["file"] == "shore.txt"
        source = reply.context["sources"][0]
        assert FACT in text[source["start"] : source["end"]]
    finally:
        assert client.files.delete(stored.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(stored.id)
    with pytest.raises(openai.NotFoundError):
        ask(client, content)


def test_a_prompt_is_continued_as_it_stands(client: openai.OpenAI) -> None:
    prompt = f"{FACT}\n\n{QUESTION}<|assistant|>"
    reply = client.completions.create(model="farspan-tiny", prompt=[f"{FACT} The number", prompt], max_tokens=6)
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert_adds_up(reply.context)
    streamed = client.completions.create(model="farspan-tiny", prompt=f"{FACT} The number", max_tokens=6, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == reply.choices[0].text


def test_special_tokens_of_a_prompt_are_special_and_none_are_added(client: openai.OpenAI, server: Running) -> None:
    for paragraphs in (0, 40):
        prompt = f"<|begin|>{filler(paragraphs)}\n\n{QUESTION}<|assistant|>"
        asked = httpx.post(f"{server.url}/tokenize", json={"content": prompt, "add_special_tokens": True})
        tokens = asked.json()["tokens"]
        for given in (prompt, tokens):
            reply = client.completions.create(model="farspan-tiny", prompt=given, max_tokens=12)
            assert reply.choices[0].text.strip() == ANSWER
            assert abs(reply.usage.prompt_tokens - len(tokens)) <= 8  # a cut may part what one token stands for
        echoed = client.completions.create(
            model="farspan-tiny", prompt=f"{prompt} {ANSWER}", max_tokens=0, echo=True, logprobs=1
        )
        assert min(echoed.choices[0].logprobs.token_logprobs[-2:]) > -0.1


def test_echo_with_logprobs_accounts_for_every_token_of_the_prompt(client: openai.OpenAI) -> None:
    prompt = f"{FACT} The number of the copper lantern is"
    reply = client.completions.create(model="farspan-tiny", prompt=prompt, max_tokens=1, echo=True, logprobs=3)
    (choice,) = reply.choices
    likely = choice.logprobs
    assert choice.text.startswith(prompt) or choice.text.endswith(likely.tokens[-1])
    assert "".join(likely.tokens) == choice.text
    assert likely.token_logprobs[0] is None and likely.top_logprobs[0] is None
    assert len(likely.tokens) == len(likely.token_logprobs) == len(likely.top_logprobs) == len(likely.text_offset)
    assert all(one <= 0 for one in likely.token_logprobs[1:])
    assert all(1 <= len(top) <= 3 for top in likely.top_logprobs[1:])
    nothing = client.completions.create(model="farspan-tiny", prompt=prompt, max_tokens=0, echo=True, logprobs=1)
    assert nothing.choices[0].logprobs.token_logprobs == likely.token_logprobs[:-1]
    assert nothing.usage.completion_tokens == 0


def test_token_ids_are_a_prompt_too(client: openai.OpenAI, server: Running) -> None:
    text = client.completions.create(model="farspan-tiny", prompt=FACT, max_tokens=4)
    asked = httpx.post(f"{server.url}/tokenize", json={"content": FACT, "add_special_tokens": True})
    tokens = asked.json()["tokens"]
    assert client.completions.create(model="farspan-tiny", prompt=tokens, max_tokens=4).choices == text.choices
    both = client.completions.create(model="farspan-tiny", prompt=[tokens, tokens[:4]], max_tokens=4)
    assert both.choices[0].text == text.choices[0].text
    with pytest.raises(openai.BadRequestError, match="is no token id"):
        client.completions.create(model="farspan-tiny", prompt=[99_999_999], max_tokens=4)


def test_a_response_is_gone_on_from(client: openai.OpenAI) -> None:
    first = client.responses.create(
        model="farspan-tiny", input=f"{FACT}\n\n{QUESTION}", instructions="Be short.", max_output_tokens=12,
        metadata={"a": "b"},
    )  # fmt: skip
    assert first.output_text.strip() == ANSWER
    assert first.status == "completed" and first.metadata == {"a": "b"}
    assert first.usage.input_tokens_details.cached_tokens == 0
    assert_adds_up(first.context)
    second = client.responses.create(
        model="farspan-tiny", input=QUESTION, previous_response_id=first.id, max_output_tokens=12
    )
    assert second.output_text.strip() == ANSWER
    assert second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).output_text == first.output_text
    items = client.responses.input_items.list(second.id).data
    assert [item.role for item in items] == ["user", "assistant", "user"]
    client.responses.delete(first.id)
    assert client.responses.retrieve(second.id).output_text == second.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="farspan-tiny", input=QUESTION, previous_response_id=first.id)


def test_a_response_that_is_not_stored_is_not_found(client: openai.OpenAI) -> None:
    reply = client.responses.create(
        model="farspan-tiny", input=f"{FACT}\n\n{QUESTION}", store=False, max_output_tokens=2
    )
    assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(reply.id)


def test_the_events_of_a_response_are_those_that_the_client_knows(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="farspan-tiny", input=[{"role": "user", "content": f"{FACT}\n\n{QUESTION}"}], max_output_tokens=12
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds and "response.content_part.done" in kinds
    assert final.output_text.strip() == ANSWER
    assert_adds_up(final.context)


def test_input_tokens_are_counted_as_they_will_be_read(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="farspan-tiny", input=f"{FACT}\n\n{QUESTION}")
    reply = client.responses.create(model="farspan-tiny", input=f"{FACT}\n\n{QUESTION}", max_output_tokens=2)
    assert counted.input_tokens == reply.usage.input_tokens


def test_method_and_budget_are_the_requests_own(client: openai.OpenAI) -> None:
    options = {"farspan": {"method": "streaming", "budget": "16MiB"}}
    reply = ask(client, f"{filler(100)}\n\n{QUESTION}", extra_body=options)
    assert reply.context["method"].startswith("streaming")
    assert reply.context["budget"] == "device=16MiB"
    assert reply.context["dropped"] > 0
    assert_adds_up(reply.context)
    with pytest.raises(openai.BadRequestError, match="nonsense"):
        ask(client, QUESTION, extra_body={"farspan": {"method": "nonsense"}})
    with pytest.raises(openai.BadRequestError, match="farspan"):
        ask(client, QUESTION, extra_body={"farspan": {"budgett": "1MiB"}})


def test_strict_makes_a_text_longer_than_the_window_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length") as caught:
        ask(client, f"{filler(40)}\n\n{QUESTION}", extra_body={"farspan": {"strict": True}})
    assert caught.value.code == "context_length_exceeded"
    assert "context_length_exceeded" in str(caught.value)
    with pytest.raises(openai.APIError, match="maximum context length"):
        list(ask(client, f"{filler(40)}\n\n{QUESTION}", stream=True, extra_body={"farspan": {"strict": True}}))
    assert ask(client, f"{FACT}\n\n{QUESTION}", extra_body={"farspan": {"strict": True}}).choices


def test_a_session_reads_and_is_asked(client: openai.OpenAI) -> None:
    made = client.post("/sessions", body={"id": "shore"}, cast_to=object)
    assert made["id"] == "shore"
    read = client.post("/sessions/shore/read", body={"text": filler(30), "name": "shore.txt"}, cast_to=object)
    assert read["files"][0]["file"] == "shore.txt"
    session = {"farspan": {"session": "shore"}}
    for _ in range(2):
        reply = ask(client, QUESTION, extra_body=session)
        assert reply.choices[0].message.content.strip() == ANSWER
        assert reply.context["sources"][0]["file"] == "shore.txt"
        assert_adds_up(reply.context)
    kept = ask(client, QUESTION, extra_body={"farspan": {"session": "shore", "keep": True}})
    assert kept.choices[0].message.content.strip() == ANSWER
    turns = client.get("/sessions/shore/messages", cast_to=object)["data"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    forked = client.post("/sessions/shore/fork", body={"id": "copy"}, cast_to=object)
    assert forked["context"]["seen"] == client.get("/sessions/shore", cast_to=object)["context"]["seen"]
    with pytest.raises(openai.ConflictError):
        client.post("/sessions", body={"id": "copy"}, cast_to=object)
    for name in ("shore", "copy"):
        client.delete(f"/sessions/{name}", cast_to=object)
    with pytest.raises(openai.NotFoundError):
        ask(client, QUESTION, extra_body=session)


def test_what_cannot_be_done_is_said(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        ask(client, QUESTION, model="gpt-9")
    for options in ({"n": 2}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"temperature": 9}):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, QUESTION, **options)
        assert caught.value.param in options
    with pytest.raises(openai.BadRequestError, match=r"text\.format"):
        client.responses.create(model="farspan-tiny", input=QUESTION, text={"format": {"type": "json_object"}})
    with pytest.raises(openai.BadRequestError, match="response_format"):
        ask(client, QUESTION, response_format={"type": "json_object"})
