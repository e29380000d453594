"""Sessions with a name: what they read and what is said in them stays; each owner sees their own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from farspan.engine.conversation import Message, Passage
from farspan.errors import BudgetError, SessionError, UsageError
from farspan.server.asked import Answered, Asked, NotFound, Options
from farspan.server.service import Service
from farspan.server.turns import Stopped
from farspan.text import Document
from tests.server.kit import BOOK, Told, answer, at_once, serving


def made(service: Service, name: str = "book", owner: str = "me") -> None:
    """Begin a session."""
    method, budget = service.defaults.choose(Options())
    service.turn(lambda: service.sessions.create(owner, name, method, budget))(Told())


def read(service: Service, text: str = BOOK, name: str = "book", told: Told | None = None) -> dict[str, Any]:
    """Read a text into it."""
    return service.read("me", name, Document.from_text(text, "book.txt"), told or Told())


def put(service: Service, message: str, **options: Any) -> Answered:
    """Put one message to it, to stay."""
    said = [Message("user", (Passage(message, "message 1"),))]
    drawn = {"max_new_tokens": 6, "ignore_eos": True}
    return service.answer(
        Asked(owner="me", messages=said, sampling=drawn, options=Options(session="book", keep=True, **options)), Told()
    )


def test_what_a_session_has_read_stands_before_the_messages(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, counted):
        made(service)
        described = read(service)
        assert described["context"]["seen"] > 2000
        assert [file["file"] for file in described["files"]] == ["book.txt"]
        before = counted.tokens
        found = answer(service, "What did he see?", session="book")
        assert found.cached_tokens >= described["context"]["seen"] - 1
        assert counted.tokens - before < 60
        assert found.sources[0].file == "book.txt"
        with service.turns.job():
            wanted = service.sessions.get("me", "book").session.ask(
                "What did he see?", max_new_tokens=8, ignore_eos=True
            )
            assert wanted.text == found.text
        assert read_counts(service) == described["context"]


def read_counts(service: Service) -> Any:
    """Where the tokens of the session are."""
    return service.turn(lambda: service.sessions.describe("me", "book"))(Told())["context"]


def test_a_conversation_behind_a_session_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        first = answer(service, "What did he see?", session="book")
        second = answer(service, "What did he see?", first.text, "And then?", session="book")
        assert second.cached_tokens >= first.prompt_tokens


def test_what_is_kept_stays_over_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        first = put(service, "What did he see?")
        counts = read_counts(service)
        assert counts["seen"] > first.prompt_tokens
        wanted = answer(service, "And then?", session="book").text
    with serving(tmp_path) as (service, counted):
        assert service.sessions.names("me") == ["book"]
        assert read_counts(service) == counts
        assert answer(service, "And then?", session="book").text == wanted
        assert counted.tokens < 100
        turns = service.sessions.turns("me", "book")
        assert [(turn["role"], turn["content"]) for turn in turns] == [
            ("user", "What did he see?"),
            ("assistant", first.text),
        ]


def test_a_fork_grows_apart(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        service.turn(lambda: service.sessions.fork("me", "book", "copy"))(Told())
        wanted = answer(service, "What did he see?", session="book").text
        read(service, "Something else altogether. " * 40)
        assert answer(service, "What did he see?", session="copy").text == wanted
        assert sorted(service.sessions.names("me")) == ["book", "copy"]
        with pytest.raises(SessionError):
            service.turn(lambda: service.sessions.fork("me", "book", "copy"))(Told())


def test_what_was_asked_before_is_not_what_a_session_has_read_since(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        answer(service, "What did he see?", session="book")
        read(service, "Something else altogether. " * 40)
        found = answer(service, "What did he see?", session="book")
        assert found.counts.seen > read_counts(service)["seen"]


def test_reading_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path / "one") as (service, _):
        made(service)
        wanted = read(service)["context"]
        text = answer(service, "What did he see?", session="book").text
    with serving(tmp_path / "two") as (service, counted):
        made(service)
        told = Told()

        def stop() -> None:
            if counted.tokens > 1000 and told.job is not None:
                told.job.stop()

        counted.before = stop
        with pytest.raises(Stopped):
            read(service, told=told)
        counted.before = lambda: None
        before = counted.tokens
        assert read(service)["context"] == wanted
        assert counted.tokens - before < wanted["seen"] - 900
        assert answer(service, "What did he see?", session="book").text == text


def test_two_that_change_a_session_do_so_one_after_the_other(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        at_once([lambda text=text: read(service, text) for text in ("One thing. " * 100, "Another. " * 100)])  # type: ignore[misc]
        files = service.turn(lambda: service.sessions.describe("me", "book"))(Told())["files"]
        assert [file["complete"] for file in files] == [True, True]
        assert {file["chars"] for file in files} == {1100, 900}


def test_a_session_can_be_asked_while_it_reads(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        answers = at_once(
            [lambda: read(service, "More of it. " * 400), lambda: answer(service, "What?", session="book")]
        )
        assert answers[1].text


def test_owners_do_not_see_each_others_sessions(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        assert service.sessions.names("you") == []
        with pytest.raises(NotFound):
            answer(service, "What?", session="book", owner="you")
        made(service, owner="you")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "-", "x" * 65, "a\n"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with serving(tmp_path) as (service, _):
        if name:
            with pytest.raises(UsageError):
                made(service, name)
        with pytest.raises(UsageError):
            service.sessions.check("me", name)


def test_a_session_that_is_removed_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        answer(service, "What?", session="book")
        service.turn(lambda: service.sessions.delete("me", "book"))(Told())
        assert service.sessions.names("me") == []
        with pytest.raises(NotFound):
            answer(service, "What?", session="book")
        made(service)
        with pytest.raises(SessionError):
            made(service)


def test_options_that_are_not_the_sessions_own(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        with pytest.raises(UsageError, match="begun with method"):
            put(service, "What?", method="streaming")
        with pytest.raises(UsageError, match="begun with budget"):
            answer(service, "What?", session="book", budget="1MiB")
        assert put(service, "What?", method="topk").text


def test_keep_wants_one_message_and_a_session(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        with pytest.raises(UsageError, match="one new message"):
            answer(service, "What?", "That.", "Why?", session="book", keep=True)
        with pytest.raises(UsageError, match="keep wants a session"):
            answer(service, "What?", keep=True)


def test_sessions_that_nobody_asks_give_their_memory_back(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        wanted = answer(service, "What did he see?", session="book").text
        while free := [one for one in service.room.kept() if one.free]:
            free[0].give_up()
        assert not service.room.kept()
        assert answer(service, "What did he see?", session="book").text == wanted


def test_a_session_that_is_asked_stays_open_while_the_one_who_asks_waits_for_room(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        read(service)
        with service.turns.job(), service.sessions.using("me", "book") as named:
            assert not [one for one in service.sessions.kept() if one.free]
            with pytest.raises(SessionError, match="in use"):
                service.sessions.delete("me", "book")
        assert named.idle


def test_reading_into_a_session_takes_room(tmp_path: Path) -> None:
    with serving(tmp_path, budget="1MiB", memory=1 << 20) as (service, counted):
        made(service)
        taken: list[int] = []
        counted.before = lambda: taken.append(service.room.taken)
        read(service)
        assert 0 < min(taken) <= max(taken) <= 1 << 20
        assert service.room.taken == 0
    with serving(tmp_path / "small", budget="1MiB", memory=1 << 19) as (service, _):
        made(service)
        with pytest.raises(BudgetError, match="the server has 512KiB"):
            read(service)


def turn_texts(service: Service) -> list[str]:
    """What is noted of the conversation in the session."""
    return [turn["content"] for turn in service.sessions.turns("me", "book")]


def test_what_is_left_of_a_session_blocks_no_name(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service, "whole")
    of_me = tmp_path / "sessions" / "me"
    shutil.copytree(of_me / "whole", of_me / "book")
    (of_me / "book" / "about.json").unlink()
    shutil.copytree(of_me / "whole", of_me / ".unfinished-1")
    time.sleep(0.05)
    with serving(tmp_path) as (service, _):
        assert [path.name for path in of_me.iterdir()] == service.sessions.names("me") == ["whole"]
        made(service)
        read(service)
        assert answer(service, "What?", session="book").text


@pytest.mark.parametrize("fails", ["write_text", "rename"])
def test_a_session_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    with serving(tmp_path) as (service, _):
        made(service, "whole")
        real, of_me = getattr(Path, fails), tmp_path / "sessions" / "me"

        def fail(path: Path, *args: Any, **options: Any) -> Any:
            """Fail at the very end, when nothing of the name may be there yet."""
            if path.name == "about.json" or (fails == "rename" and path.parent == of_me):
                assert not {"book", "copy"} & {found.name for found in of_me.iterdir()}
                assert service.sessions.names("me") == ["whole"]
                raise OSError("no space")
            return real(path, *args, **options)

        with monkeypatch.context() as failing:
            failing.setattr(Path, fails, fail)
            with pytest.raises(OSError, match="no space"):
                made(service)
            if fails == "rename":
                with pytest.raises(OSError, match="no space"):
                    service.turn(lambda: service.sessions.fork("me", "whole", "copy"))(Told())
        assert [path.name for path in of_me.iterdir()] == ["whole"]
        made(service)


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        made(service)
        put(service, "One?")
        turns = tmp_path / "sessions" / "me" / "book" / "turns.jsonl"
        answered = turn_texts(service)[1]
        with turns.open("ab") as file:
            file.write(b'{"role": "user", "content": "caf\xc3')
        assert turn_texts(service) == ["One?", answered]
        put(service, "Two?")
        assert turn_texts(service)[:3] == ["One?", answered, "Two?"]
        whole = turns.read_bytes()
        turns.write_bytes(whole.replace(b'"One?"', b'"One?'))
        assert turn_texts(service)[:2] == [answered, "Two?"]
