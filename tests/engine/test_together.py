"""Answers that are written together are those that each gives alone."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

import farspan
from farspan.engine import Model, Session
from farspan.engine.generation import Generation
from farspan.errors import StorageFull, UsageError
from tests.engine.conftest import BOOK, Fed
from tests.tiny import model, random_ids

METHODS = ["streaming", "infllm", "topk", "em_llm", "sirllm", "full"]
QUESTIONS = ["Who counted the waves?", "What did the parrot say, and when was it said?", "x"]


def opened(stack: ExitStack, method: str, tokens: int) -> Session:
    session = stack.enter_context(model().session(method))
    session.read(BOOK)
    session.read(random_ids(tokens))
    return session


@pytest.mark.parametrize("method", METHODS)
def test_each_says_what_it_says_alone(method: str, fed: Fed) -> None:
    """Sessions of different lengths, answers that end at different times; in one forward a token."""
    lengths = [3, 9, 6]
    with ExitStack() as stack:
        sessions = [opened(stack, method, 40 * (1 + number)) for number in range(3)]
        alone = [
            session.ask(question, max_new_tokens=most, ignore_eos=True)
            for session, question, most in zip(sessions, QUESTIONS, lengths, strict=True)
        ]
        wanted = [(one.text, one.ids, one.sources, one.usage, one.counts) for one in alone]
        answers = [
            session.ask(question, max_new_tokens=most, ignore_eos=True)
            for session, question, most in zip(sessions, QUESTIONS, lengths, strict=True)
        ]
        fed.take()
        texts = ["", "", ""]
        for number, piece in farspan.together(answers):
            texts[number] += piece
        assert len(fed.take()) == sum(length - 1 for length in lengths)
        assert [(one.text, one.ids, one.sources, one.usage, one.counts) for one in answers] == wanted
        assert texts == [text for text, *_ in wanted]


def test_weights_are_read_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    with ExitStack() as stack:
        sessions = [opened(stack, "infllm", 30) for _ in range(3)]
        answers = [session.ask("Who?", max_new_tokens=4, ignore_eos=True) for session in sessions]
        hosted = model().hosted
        together = type(hosted).forward_together
        monkeypatch.setattr(
            type(hosted),
            "forward_together",
            lambda self, chunks, *rest: (rows.append(len(chunks)), together(self, chunks, *rest))[1],
        )
        assert list(farspan.together(answers))
    assert rows == [3, 3, 3]


def test_a_reply_stays_in_its_session() -> None:
    with ExitStack() as stack:
        one, other = (opened(stack, "infllm", 30) for _ in range(2))
        alone = [*one.chat("Who?", max_new_tokens=5).ids, *one.chat("And then?", max_new_tokens=5).ids]
        found = []
        for message in ("Who?", "And then?"):
            reply = other.chat(message, max_new_tokens=5)
            list(farspan.together([reply]))
            found += reply.ids
        assert found == alone


class Full:
    """A session whose tiers are full at some step."""

    def __init__(self, session: Session, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = step
        kv = session._stream.kv
        taking = kv.taking

        def failing(*arguments: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise StorageFull("the disk is full", fix="free some space")
            return taking(*arguments)

        monkeypatch.setattr(kv, "taking", failing)


def test_one_that_cannot_go_on_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        sessions = [opened(stack, "infllm", 30 + number) for number in range(3)]
        wanted = [session.ask("Who?", max_new_tokens=8, ignore_eos=True).ids for session in sessions]
        replies = [session.chat("Who?", max_new_tokens=8, ignore_eos=True) for session in sessions]
        Full(sessions[1], 3, monkeypatch)
        seen = sessions[1].counts.seen
        with pytest.raises(StorageFull):
            list(farspan.together(replies))
        assert [reply.ids for reply in (replies[0], replies[2])] == [wanted[0], wanted[2]]
        assert replies[1].drawn == wanted[1][:4]
        assert sessions[1].counts.seen == seen + 3


def test_broken_off_they_are_all_closed() -> None:
    with ExitStack() as stack:
        sessions = [opened(stack, "infllm", 30) for _ in range(2)]
        answers = [session.ask("Who?", max_new_tokens=20, ignore_eos=True) for session in sessions]
        pieces = farspan.together(answers)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert all(answer.ended and len(answer.drawn) < 20 for answer in answers)
        again = [session.ask("Who?", max_new_tokens=20, ignore_eos=True) for session in sessions]
        assert all(answer.drawn == whole.ids[: len(answer.drawn)] for answer, whole in zip(answers, again, strict=True))


def test_what_cannot_be_together() -> None:
    def begun(session: Session) -> Generation:
        return session.generate("It was", max_new_tokens=3)

    with ExitStack() as stack:
        session = opened(stack, "infllm", 5)
        stranger = stack.enter_context(Model(model().hosted.model, model().tokenizer, "other").session("infllm"))
        with pytest.raises(UsageError, match="different models"):
            list(farspan.together([begun(session), begun(stranger)]))
        with pytest.raises(UsageError, match="two answers"):
            list(farspan.together([begun(session), begun(session)]))
        assert list(farspan.together([])) == []
