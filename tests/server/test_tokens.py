"""Long texts become tokens piece by piece, without the model's turn, and no longer than somebody waits."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tokenizers import processors

from farspan.engine import Model
from farspan.server.asked import Asked, ContextLengthExceeded, Options
from farspan.server.counting import raw_ids, tokens
from farspan.server.service import Service
from farspan.server.turns import Stopped
from farspan.text import TextEncoder
from tests.server.conftest import app_client
from tests.server.kit import BOOK, Told, at_once, said, serving
from tests.tiny import llama, tokenizer

LONG = "It was late in the evening. " * 40_000
TEXTS = (BOOK, LONG[:60_000], f"<|user|>{BOOK}<|end|><|assistant|>", "", "one")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The lengths of the texts that are given to a tokenizer."""
    lengths: list[int] = []
    real = TextEncoder._encode

    def counted(encoder: TextEncoder, text: str) -> Any:
        lengths.append(len(text))
        return real(encoder, text)

    monkeypatch.setattr(TextEncoder, "_encode", counted)
    yield lengths


class Gone(Told):
    """A listener that has gone after so many looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        """Raise when it has gone."""
        self.looks -= 1
        if self.looks < 0:
            raise Stopped


def strictly(service: Service, text: str, told: Told | None = None) -> Any:
    """An answer to a text that must fit the window."""
    asked = Asked(owner="me", messages=said(text), sampling={"max_new_tokens": 2}, options=Options(strict=True))
    return service.answer(asked, told or Told())


def test_a_text_that_must_fit_is_counted_no_further_than_the_window(tmp_path: Path, encoded: list[int]) -> None:
    with serving(tmp_path) as (service, read):
        for text in (LONG, f"{BOOK}\n\n{LONG}"):
            encoded.clear()
            with pytest.raises(ContextLengthExceeded, match=r"context_length_exceeded: .* 128 tokens"):
                strictly(service, text)
            assert sum(encoded) < 40_000
        assert read.tokens == 0
        assert strictly(service, "One?").prompt_tokens < 20


def test_who_has_the_turn_does_not_hold_up_counting(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _), service.turns.job():

        def work() -> int:
            with pytest.raises(ContextLengthExceeded):
                strictly(service, LONG)
            with pytest.raises(Stopped):
                service.score(Asked(owner="me", prompt=LONG), Gone(3))
            return service.count(Asked(owner="me", messages=said(BOOK)), Told())

        assert at_once([work])[0] > 1_000


def test_counting_ends_when_nobody_waits(tmp_path: Path, encoded: list[int]) -> None:
    with serving(tmp_path) as (service, _):
        for work in (
            lambda: service.count(Asked(owner="me", messages=said(LONG)), Gone(2)),
            lambda: service.score(Asked(owner="me", prompt=LONG), Gone(2)),
        ):
            encoded.clear()
            with pytest.raises(Stopped):
                work()
            assert 0 < sum(encoded) < 100_000


def test_the_tokens_are_those_of_the_whole_text(tmp_path: Path, encoded: list[int]) -> None:
    with serving(tmp_path) as (service, _):
        counted = tokens(service.model, service._conversation(Asked(owner="me", messages=said(LONG))), Told().check)
        whole = tokenizer().encode(LONG, add_special_tokens=False)
        assert 0 < counted - len(whole) < 12  # the marks around the message, and where it was cut
        assert max(encoded) < 200_000
        assert raw_ids(service.model, LONG, Told().check) == whole


@pytest.mark.parametrize("around", [([], []), (["<|user|>"], []), (["<|user|>"], ["<|end|>"])], ids=str)
def test_a_raw_prompt_has_the_tokenizers_own_tokens(around: tuple[list[str], list[str]]) -> None:
    dressed = copy.deepcopy(tokenizer())
    names = [*around[0], *around[1]]
    if names:
        dressed.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=[*around[0], "$A", *around[1]],
            special_tokens=[(name, dressed.convert_tokens_to_ids(name)) for name in names],
        )
    model = Model(llama(), dressed, "tiny")
    for text in TEXTS:
        for first in (False, True):
            assert model.encode_raw(text, first=first) == dressed.encode(text, add_special_tokens=first)


def test_tokenising_waits_in_the_queue_like_all_work(tmp_path: Path) -> None:
    with app_client(tmp_path, parallel=1, queue=1) as client:
        hold = Event()
        busy = [client.app.state.farspan.workers.submit(lambda: hold.wait(60)) for _ in range(2)]
        try:
            for path, body in (
                ("/tokenize", {"content": "It was late."}),
                ("/detokenize", {"tokens": [5, 6]}),
                ("/v1/responses/input_tokens", {"input": "It was late."}),
            ):
                assert client.post(path, json=body).status_code == 429
        finally:
            hold.set()
        assert all(one.result(10) for one in busy)
        made = client.post("/tokenize", json={"content": "It was late."}).json()
        assert made["count"] == len(made["tokens"]) > 0
        assert client.post("/detokenize", json={"tokens": made["tokens"]}).json()["content"] == "It was late."
        counted = client.post("/v1/responses/input_tokens", json={"input": "It was late."}).json()
        assert counted["input_tokens"] > made["count"]
