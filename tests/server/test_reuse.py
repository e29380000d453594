"""What was read is not read again, whoever asks; answers are those that reading it all again would give."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from farspan.engine import Session, open_session
from farspan.engine.conversation import Message, Passage
from farspan.engine.kv import KVMemory
from farspan.errors import InputError, SessionError, StorageFull
from farspan.server.asked import Asked, Options
from farspan.server.prefixes import Node
from farspan.server.service import Service
from farspan.server.turns import Stopped
from farspan.text import Document
from tests.server.kit import BOOK, Told, answer, at_once, serving

ASKED = f"{BOOK}What did the man see?"


def fresh(folder: Path, *texts: str, **options: str) -> str:
    """The answer of a service that has read nothing yet."""
    with serving(folder, **options) as (service, _):
        return answer(service, *texts).text


def below(node: Node) -> list[Node]:
    """All nodes behind one."""
    return [one for child in node.children.values() for one in (child, *below(child))]


def nodes(service: Service) -> list[Node]:
    """All nodes of a service."""
    return [node for root in service._roots.values() for node in below(root)]


def test_the_same_again_costs_next_to_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, read):
        first, before = answer(service, BOOK * 4 + ASKED), read.tokens
        again = answer(service, BOOK * 4 + ASKED)
    assert first.cached_tokens == 0
    assert again.prompt_tokens == first.prompt_tokens
    assert again.prompt_tokens - again.cached_tokens < 0.02 * first.prompt_tokens
    assert read.tokens - before == again.prompt_tokens - again.cached_tokens + again.completion_tokens - 1
    assert again.text == first.text


@pytest.mark.parametrize("method", ["topk", "infllm", "streaming", "snapkv", "em_llm", "int8"])
def test_another_question_is_answered_as_if_all_had_been_read_anew(tmp_path: Path, method: str) -> None:
    other = f"{BOOK}And who was he?\nTell me."
    with serving(tmp_path / "one", method=method) as (service, _):
        answer(service, ASKED)
        found = answer(service, other)
    assert found.cached_tokens > 0.9 * found.prompt_tokens
    with serving(tmp_path / "two", method=method) as (service, _):
        assert answer(service, other).counts.seen == found.counts.seen
    assert fresh(tmp_path / "three", other, method=method) == found.text


def test_a_conversation_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path / "one") as (service, _):
        first = answer(service, ASKED)
        second = answer(service, ASKED, first.text, "And then?")
        third = answer(service, ASKED, first.text, "And then?", second.text, "And then?")
        assert first.prompt_tokens <= second.cached_tokens
        assert second.prompt_tokens <= third.cached_tokens
        assert third.prompt_tokens - third.cached_tokens < 40
        asked_otherwise = answer(service, ASKED, first.text, "Why?")
    assert asked_otherwise.cached_tokens > 0.9 * asked_otherwise.prompt_tokens
    assert fresh(tmp_path / "two", ASKED, first.text, "Why?") == asked_otherwise.text


def test_the_turns_of_a_conversation_count_whether_it_was_answered_here_or_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    end_turn = KVMemory.end_turn
    monkeypatch.setattr(KVMemory, "end_turn", lambda kv: (ended.append(kv.seen), end_turn(kv)))
    method = "sirllm(decay=0.5)"
    with serving(tmp_path / "one", method=method) as (service, _):
        first = answer(service, ASKED)
        second = answer(service, ASKED, first.text, "And then?")
        said = ASKED, first.text, "And then?", second.text, "Why?"
        answer(service, *said)
    here = ended.copy()
    ended.clear()
    fresh(tmp_path / "two", *said, method=method)
    assert len(here) == len(ended) == 2


def visitor(service: Service, name: str, system: str, turns: int) -> list[int]:
    """A conversation behind a system message: the tokens that were known at each turn, and all in the end."""
    messages, known, answered = [Message("system", (Passage(system, "message 1"),))], [], None
    for turn in range(turns):
        said = f"I am {name}. What is the {turn}th thing that the man saw, and what else is there to be said of it?"
        messages.append(Message("user", (Passage(said, f"message {len(messages) + 1}"),)))
        answered = service.answer(Asked(owner="me", messages=messages, sampling={"max_new_tokens": 8}), Told())
        messages.append(Message("assistant", (Passage(answered.text),)))
        known.append(answered.cached_tokens)
    assert answered is not None
    return [*known, answered.prompt_tokens]


def test_conversations_behind_one_system_message_all_go_on_where_they_were(tmp_path: Path) -> None:
    system = f"{BOOK[:2000]}\n\nBe brief and kind."
    with serving(tmp_path) as (service, _):
        for name in ("Ann", "Bob", "Eve"):
            *known, tokens = visitor(service, name, system, 4)
            assert known == sorted(known)
            assert tokens - known[-1] < 150  # a message and its answer


def test_sources_say_where_in_the_whole_message_they_stand(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        answer(service, ASKED)
        sources = answer(service, ASKED).sources
    assert sources
    for source in sources:
        assert source.file == "message 1"
        assert ASKED[source.start : source.end] == source.text
        assert source.line == ASKED[: source.start].count("\n") + 1


def test_what_many_ask_about_is_read_once(tmp_path: Path) -> None:
    questions = [f"{BOOK}Question {number}: what did he see?" for number in range(6)]
    with serving(tmp_path) as (service, read):
        answers = at_once([lambda asked=asked: answer(service, asked) for asked in questions])  # type: ignore[misc]
    assert sum(found.cached_tokens == 0 for found in answers) == 1
    assert read.tokens < 1.5 * answers[0].prompt_tokens
    assert [found.text for found in answers] == [fresh(tmp_path / str(n), q) for n, q in enumerate(questions)]


def test_who_waits_for_a_text_takes_no_memory_meanwhile(tmp_path: Path) -> None:
    done: list[str] = []
    came = threading.Event()

    def asks(name: str, text: str) -> Callable[[], None]:
        def work() -> None:
            if name != "reads":
                came.wait(20)
            answer(service, text)
            done.append(name)

        return work

    with serving(tmp_path, budget="1MiB", memory=2 << 20) as (service, read):
        read.before = came.set
        book = BOOK * 6
        at_once([asks("reads", f"{book}What?"), asks("waits", f"{book}Why?"), asks("short", "Who?")])
    assert done[0] == "short"
    assert service.room.taken == 0


def test_a_restart_forgets_nothing_that_was_long(tmp_path: Path) -> None:
    book = BOOK * 3
    with serving(tmp_path) as (service, _):
        first = answer(service, f"{book}What?")
    with serving(tmp_path) as (service, _):
        again = answer(service, f"{book}What?")
        assert again.text == first.text
        assert again.cached_tokens > 0.97 * again.prompt_tokens
        assert answer(service, f"{book}What?", owner="other").cached_tokens == 0


def test_a_long_text_behind_a_known_one_is_there_after_a_restart_too(tmp_path: Path) -> None:
    known, new = BOOK * 3, "".join(f"Chapter {number} is about the sea.\n\n" for number in range(400))
    with serving(tmp_path) as (service, _):
        answer(service, f"{known}What?")
        first = answer(service, f"{known}{new}What?")
        assert 0.2 < first.cached_tokens / first.prompt_tokens < 0.8
        assert len(list((tmp_path / "read").iterdir())) == 2
        give_up(service)
        assert answer(service, f"{known}{new}What?").text == first.text
    with serving(tmp_path) as (service, _):
        again = answer(service, f"{known}{new}What?")
        assert again.cached_tokens > 0.97 * again.prompt_tokens
        assert again.text == first.text


def test_a_full_disk_keeps_a_text_off_the_shelf_and_does_no_other_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Session, path: Path) -> None:
        path.mkdir()
        raise StorageFull("the disk is full")

    with serving(tmp_path) as (service, _):
        answer(service, f"{BOOK * 3}What?")
        monkeypatch.setattr(Session, "save", full)
        assert answer(service, f"{BOOK * 7}What?").cached_tokens > 0
        again = answer(service, f"{BOOK * 7}Why?")
        assert again.cached_tokens > 0.9 * again.prompt_tokens
        assert len(list((tmp_path / "read").iterdir())) == 1


def test_without_a_disk_tier_long_texts_are_kept_in_memory_only(tmp_path: Path) -> None:
    with serving(tmp_path, method="infllm", budget="device=1MiB,disk=0") as (service, _):
        for text in (BOOK * 3, BOOK * 6):
            answer(service, f"{text}What?")
            assert answer(service, f"{text}Why?").cached_tokens > len(text) / 2
        assert not list((tmp_path / "read").iterdir())


def test_what_is_read_behind_a_session_with_a_name_is_not_taken_for_a_text_of_its_own(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        method, budget = service.defaults.choose(Options())
        service.turn(lambda: service.sessions.create("me", "shore", method, budget))(Told())
        service.read("me", "shore", Document.from_text(BOOK, "book"), Told())
        answer(service, f"{BOOK * 3}What?", session="shore")
        assert not list((tmp_path / "read").iterdir())


def test_folders_that_are_of_no_use_are_removed(tmp_path: Path) -> None:
    (tmp_path / "read" / "broken").mkdir(parents=True)
    (tmp_path / "read" / "broken" / "prefix.json").write_text("{")
    with serving(tmp_path) as (service, _):
        assert not (tmp_path / "read" / "broken").exists()
        wanted = answer(service, f"{BOOK * 3}What?")
        (folder,) = (tmp_path / "read").iterdir()
    (folder / "session.json").write_text("{")
    with serving(tmp_path) as (service, _):
        found = answer(service, f"{BOOK * 3}What?")
        assert (found.cached_tokens, found.prompt_tokens, found.text) == (0, wanted.prompt_tokens, wanted.text)
        assert not folder.exists()


def test_the_disk_holds_as_much_as_it_may(tmp_path: Path) -> None:
    with serving(tmp_path, disk=3 << 20, memory=16 << 20) as (service, _):
        for number in range(4):
            answer(service, f"{number} {BOOK * 3}What?")
            give_up(service)
        held = [path for path in (tmp_path / "read").iterdir() if (path / "prefix.json").is_file()]
        assert 1 <= len(held) < 4
        assert answer(service, f"3 {BOOK * 3}What?").cached_tokens > 0
        assert answer(service, f"0 {BOOK * 3}What?").cached_tokens == 0


def give_up(service: Service) -> None:
    """Give up all that is kept in memory."""
    while free := [one for one in service.room.kept() if one.free]:
        free[0].give_up()


def held_bytes(service: Service) -> int:
    """Bytes of the sessions that are kept in memory."""
    return sum(one.bytes for one in service.room.kept())


def test_memory_holds_as_much_as_it_may_and_what_was_given_up_is_read_again(tmp_path: Path) -> None:
    texts = [f"{number} {ASKED}" for number in range(6)]
    with serving(tmp_path / "one") as (service, _):
        wanted = [answer(service, texts[0]).text]
        one = held_bytes(service)
        wanted += [answer(service, text).text for text in texts[1:]]
    with serving(tmp_path / "two", memory=3 * one, budget=f"{one}B") as (service, _):
        for text, expected in zip(texts, wanted, strict=True):
            assert answer(service, text).text == expected
            assert held_bytes(service) <= 3 * one
        assert answer(service, texts[-1]).cached_tokens > 0
        again = answer(service, texts[0])
        assert again.cached_tokens == 0
        assert again.text == wanted[0]


def open_files() -> int:
    """File descriptors of this process."""
    return len(os.listdir("/dev/fd"))


def test_what_is_kept_leaves_file_descriptors_for_others(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, _):
        service.room.files = 40
        answer(service, "Who are you?")
        before = open_files()
        for number in range(25):
            answer(service, f"What is {number}?")
            assert open_files() <= before + 40
        assert answer(service, "What is 24?").text
        assert sum(one.files for one in service.room.kept()) > 30


@pytest.mark.parametrize("budget", ["unlimited", "device=128KiB"])
def test_a_session_knows_how_many_files_it_has_open(tmp_path: Path, budget: str) -> None:
    with serving(tmp_path / "server") as (service, _):
        before = open_files()
        with service.turns.job(), service.model.session("topk", budget, tmp_path / "session") as session:
            session.read(BOOK)
            "".join(session.ask("What?", max_new_tokens=2))
            assert open_files() - before == session.open_files >= 5
            with session.fork() as fork:
                "".join(fork.chat(BOOK, max_new_tokens=2))
                assert open_files() - before == session.open_files + fork.open_files
                assert fork.open_files > 0
        assert open_files() == before


def test_a_session_that_cannot_be_opened_leaves_no_files_open(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as (service, _):
        with service.turns.job(), service.model.session("topk", "unlimited", tmp_path / "session") as session:
            session.read(BOOK)
        *_, last = sorted((tmp_path / "session" / "layers").iterdir())
        last.write_bytes(b"")
        gc.collect()
        before = open_files()
        with pytest.raises(SessionError):
            open_session(tmp_path / "session", service.model)
        gc.collect()
        assert open_files() == before


def test_a_text_stays_on_the_shelf_when_there_are_no_file_descriptors_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as (service, _):
        answer(service, f"{BOOK * 3}What?")

    def none_left(_: Path) -> Session:
        raise OSError(errno.EMFILE, "Too many open files")

    with serving(tmp_path) as (service, _):
        with monkeypatch.context() as patched:
            patched.setattr(service.reuse._shelf, "_opened", none_left)
            with pytest.raises(OSError, match="Too many open files"):
                answer(service, f"{BOOK * 3}What?")
        assert answer(service, f"{BOOK * 3}What?").cached_tokens > 0


def test_who_waited_takes_over_from_one_that_was_stopped(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, read):
        steps = 0

        def stop_the_first() -> None:
            nonlocal steps
            steps += 1
            holder = service.turns._holder
            if steps == 3 and holder is not None:
                holder.stop()

        read.before = stop_the_first

        def asked() -> str:
            try:
                return answer(service, ASKED).text
            except Stopped:
                return "stopped"

        answers = at_once([asked] * 3)
    assert sorted(answers)[1:] == ["stopped"] or answers.count("stopped") == 1
    assert len({text for text in answers if text != "stopped"}) == 1


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    with serving(tmp_path) as (service, read):

        def fail() -> None:
            if read.tokens > 1000:
                raise InputError("the disk is on fire")

        read.before = fail
        with pytest.raises(InputError, match="on fire"):
            answer(service, f"{BOOK * 3}What?")
        assert not [node for node in nodes(service) if node.reading is not None]
        read.before = lambda: None
        assert not list((tmp_path / "read").iterdir())
        assert answer(service, f"{BOOK * 3}What?").text


def test_every_session_is_closed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    monkeypatch.setenv("FARSPAN_SCRATCH", str(scratch))
    with serving(tmp_path / "home") as (service, _):
        first = answer(service, ASKED)
        answer(service, ASKED, first.text, "And?")
        answer(service, f"{BOOK}Why?")
        assert list(scratch.glob("*/*"))
    assert not list(scratch.glob("*/*"))
    assert nodes(service) == []
