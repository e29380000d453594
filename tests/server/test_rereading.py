"""Methods that re-read are served: what they answer is what a session of theirs answers."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from farspan import readers
from farspan.engine.conversation import Message, Passage
from farspan.errors import BudgetError, InputError, MethodError, UsageError
from farspan.readers.kit import question
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Answered, Asked, Options
from farspan.server.rereading import tell
from farspan.server.service import Service
from farspan.server.turns import Stopped
from farspan.text import Document
from farspan.types import Budget
from tests.server.kit import BOOK, Told, answer, at_once, said, serving

QUESTION = "What did the man see?"
ASKED = f"{BOOK}{QUESTION}"
NAMES = ["gemfilter", "infini_retri", "xl3m"]


def alone(service: Service, method: str, *turns: tuple[str, str], asked: str = QUESTION) -> Answered:
    """What a session of the method answers that reads the book and is told these turns."""
    with service.turns.job(), readers.begin_session(service.model, method, service.defaults.budget) as session:
        assert isinstance(session, ReaderSession)
        session.read(Document.from_text(BOOK, "message 1"))
        for turn in turns:
            session.replay(*turn)
        reply = session.ask(asked, max_new_tokens=8, ignore_eos=True)
        text = reply.text
        return Answered(
            text=text,
            stopped=reply.stopped,
            prompt_tokens=reply.usage.context_tokens + reply.usage.prompt_tokens,
            cached_tokens=0,
            completion_tokens=8,
            wait_s=0,
            read_s=0,
            write_s=0,
            method=method,
            budget=str(session.budget),
            counts=reply.counts,
            sources=reply.sources,
        )


def check_alike(found: Answered, wanted: Answered) -> None:
    for name in ("text", "stopped", "prompt_tokens", "cached_tokens", "method", "budget", "counts", "sources"):
        assert getattr(found, name) == getattr(wanted, name), name


@pytest.mark.parametrize("method", NAMES)
def test_messages_are_answered_as_by_a_session(tmp_path: Path, method: str) -> None:
    with serving(tmp_path, method=method) as (service, _):
        for _ in range(2):
            found = answer(service, ASKED)
            check_alike(found, alone(service, method))
            assert {source.file for source in found.sources} == {"message 1"}
        turns = answer(service, ASKED, "Nothing.", "And then?")
        check_alike(turns, alone(service, method, (QUESTION, "Nothing."), asked="And then?"))


def test_a_request_may_choose_one(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        assert answer(service, ASKED, method="xl3m").text == alone(service, "xl3m").text
        assert answer(service, ASKED).method == "topk"


def test_short_texts_stay_in_the_question_and_rules_go_before_it() -> None:
    def message(role: str, *texts: str) -> Message:
        return Message(role, tuple(Passage(text, None if role == "assistant" else "it") for text in texts))

    long = "It was late. " * 40
    told = tell(
        [
            message("system", "Be brief."),
            message("system", long),
            message("user", long, "Who?"),
            message("assistant", "She."),
            message("user", "Only this."),
            message("user", f"{long}\n\nAnd?"),
            message("assistant", "Hm."),
            message("user", f"The key is red.\n\n{QUESTION}"),
        ],
        longest_rule=100,
    )
    assert ["".join(one.pieces()).strip() for one in told.documents] == [long.strip()] * 3
    assert told.turns == [("Who?", "She."), ("Only this.\n\nAnd?", "Hm.")]
    assert told.question.split("\n\n") == ["Be brief.", "The key is red.", QUESTION]


def test_a_session_with_a_name(tmp_path: Path) -> None:
    keeping = Asked(
        owner="me",
        messages=said("And then?"),
        sampling={"max_new_tokens": 8, "ignore_eos": True},
        options=Options(session="kept", keep=True),
    )
    with serving(tmp_path) as (service, _):
        create(service)
        service.read("me", "kept", Document.from_text(BOOK, "message 1"), Told())
        check_alike(answer(service, QUESTION, session="kept"), alone(service, "xl3m"))
        kept = service.answer(keeping, Told())
        check_alike(kept, alone(service, "xl3m", asked="And then?"))
        after = answer(service, QUESTION, session="kept")
        assert after.prompt_tokens > kept.prompt_tokens + kept.completion_tokens
        service.turn(lambda: service.sessions.fork("me", "kept", "copy"))(Told())
        with pytest.raises(UsageError, match="begun with method 'xl3m'"):
            answer(service, QUESTION, session="kept", method="topk")
    with serving(tmp_path) as (service, _):
        for name in ("kept", "copy"):
            check_alike(answer(service, QUESTION, session=name), after)
            assert [line["content"] for line in service.sessions.turns("me", name)] == ["And then?", kept.text]
            assert service.sessions.quote("me", name, "message 1", 0, 11) == BOOK[:11]
        service.turn(lambda: service.sessions.delete("me", "kept"))(Told())


def create(service: Service) -> None:
    service.turn(lambda: service.sessions.create("me", "kept", readers.parse("xl3m"), Budget()))(Told())


def test_others_are_answered_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a piece is no step of a session, and gives way all the same."""
    looks, entropy, looking = [], question.entropy, threading.Event()

    def looked(*arguments: Any) -> float:
        looks.append(arguments)
        looking.set()
        return entropy(*arguments)

    monkeypatch.setattr(question, "entropy", looked)
    with serving(tmp_path, method="xl3m") as (service, _):

        def short() -> int:
            looking.wait(20)
            answer(service, QUESTION, method="full", tokens=2)
            return len(looks)

        _, before = at_once([lambda: answer(service, BOOK * 3 + QUESTION), short])
        assert 0 < before < len(looks) / 2


def test_it_is_stopped_while_it_looks(tmp_path: Path) -> None:
    class Leaving(Told):
        def read(self, progress: object) -> None:
            assert self.job is not None
            self.job.stop()

    with serving(tmp_path, method="xl3m") as (service, read):
        with pytest.raises(Stopped):
            service.answer(Asked(owner="me", messages=said(ASKED)), Leaving())
        assert read.tokens == 0 and service.room.taken == 0
        assert answer(service, ASKED).text == alone(service, "xl3m").text


def test_what_does_not_go_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, method="xl3m") as (service, _):
        with pytest.raises(UsageError, match="continues no prompt"):
            service.answer(Asked(owner="me", prompt="It was"), Told())
        with pytest.raises(MethodError, match="runs no model until it is asked"):
            service.score(Asked(owner="me", prompt="It was"), Told())
        with pytest.raises(InputError, match="the last message is the assistant's"):
            answer(service, ASKED, "Nothing.")
        with pytest.raises(InputError, match="leaves no room"):
            answer(service, BOOK + "why " * 200)
        service.room.limit = service.model.window * service.model.kv_bytes_per_token
        with pytest.raises(BudgetError, match="the server has"):
            answer(service, ASKED)
