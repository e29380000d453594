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


LONG = "It was late. " * 40


def message(role: str, *texts: str) -> Message:
    return Message(role, tuple(Passage(text, None if role == "assistant" else "it") for text in texts))


def told(*messages: Message) -> tuple[list[str], list[tuple[str, str]], str]:
    """The documents, turns and question of messages, where 100 characters are short."""
    found = tell(messages, lambda text: len(text) <= 100)
    return ["".join(one.pieces()).strip() for one in found.documents], found.turns, found.question


def test_short_texts_stay_in_the_question_and_rules_go_before_it() -> None:
    documents, turns, question = told(
        message("system", "Be brief."),
        message("system", LONG),
        message("user", LONG, "Who?"),
        message("assistant", "She."),
        message("user", "Only this."),
        message("user", f"{LONG}\n\nAnd?"),
        message("assistant", "Hm."),
        message("user", f"The key is red.\n\n{QUESTION}"),
    )
    assert documents == [LONG.strip()] * 3
    assert turns == [("Who?", "She."), ("Only this.\n\nAnd?", "Hm.")]
    assert question == f"Be brief.\n\nThe key is red.\n\n{QUESTION}"


def test_what_is_too_long_for_a_question_is_text() -> None:
    assert told(message("user", f"Sum this up:\n\n{LONG}")) == ([LONG.strip()], [], "Sum this up:")
    documents, _, question = told(message("user", LONG))
    assert documents and 200 < len(question) < 300 and f"{documents[0]} {question}" == LONG.strip()
    rules = [message("system", str(number) * 60) for number in range(2)]
    assert told(*rules, message("user", "Who?")) == (["1" * 60], [], f"{'0' * 60}\n\nWho?")


def test_blank_passages_say_nothing() -> None:
    assert told(message("user", " " * 300, "\n" * 600 + "Who?" + " " * 300)) == ([], [], "Who?")
    assert told(message("system", " " * 600), message("user", "Who?"), message("user", " ")) == ([], [], "Who?")


def test_turns_that_are_left_out_are_counted(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        conversation = ("Who?", "Nobody. " * 100, "And?")
        found, whole = (answer(service, *conversation, method=method) for method in ("xl3m", "topk"))
    counts = found.counts
    assert counts.dropped > 700 and not counts.exact
    assert counts.seen == counts.kept + counts.stored + counts.dropped
    assert abs(found.prompt_tokens - whole.prompt_tokens) <= 2


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


def test_it_is_stopped_while_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener, looks, entropy = Told(), [], question.entropy

    def looked(*arguments: Any) -> float:
        assert listener.job is not None
        looks.append(arguments)
        if len(looks) == 2:
            listener.job.stop()
        return entropy(*arguments)

    with serving(tmp_path, method="xl3m") as (service, _):
        with monkeypatch.context() as patched:
            patched.setattr(question, "entropy", looked)
            with pytest.raises(Stopped):
                service.answer(Asked(owner="me", messages=said(ASKED)), listener)
        assert len(looks) == 2 and service.room.taken == 0
        assert answer(service, ASKED).text == alone(service, "xl3m").text


def test_reading_takes_no_room(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        create(service)
        service.room.limit = 0
        service.read("me", "kept", Document.from_text(BOOK, "message 1"), Told())
        with pytest.raises(BudgetError, match="the server has"):
            answer(service, QUESTION, session="kept")


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
