"""A reader's session that is kept: saved, opened, broken off, damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import farspan
from farspan import readers
from farspan.engine import Model, open_session
from farspan.errors import BudgetError, InputError, MethodError, SessionError
from farspan.readers.kit.session import ReaderSession
from farspan.text import Document
from farspan.types import Budget, Progress
from tests.readers.test_contract import ANY_LENGTH, HOW, LONG, SHORT
from tests.tiny import llama, model, tokenizer


def opened(folder: Path) -> ReaderSession:
    session = farspan.open(folder, model())
    assert isinstance(session, ReaderSession)
    return session


def kept(folder: Path, name: str = "xl3m", budget: str | None = None) -> ReaderSession:
    session = readers.begin_session(model(), name, budget, folder)
    assert isinstance(session, ReaderSession)
    return session


def outcome(session: ReaderSession) -> tuple[Any, ...]:
    """What it says, from where, and what it has."""
    answer = session.ask("Where?", **HOW)
    said = answer.ids
    return said, [source.as_dict() for source in answer.sources], answer.counts, session.counts, session.files


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_the_same_after_saving_and_opening(name: str, tmp_path: Path) -> None:
    with readers.begin_session(model(), name) as session:
        assert isinstance(session, ReaderSession)
        session.read(LONG)
        session.replay("Who?", "Nobody.")
        session.chat("And then?", **HOW).text  # noqa: B018
        session.save(tmp_path / "saved")
        wanted = outcome(session)
    for _ in range(2):
        with opened(tmp_path / "saved") as again:
            assert outcome(again) == wanted
            assert (str(again.method), again.budget) == (name, Budget())


def test_what_is_read_and_said_is_there_after_a_restart(tmp_path: Path) -> None:
    with (
        kept(tmp_path / "kept", "xl3m(segment=64)", "1MiB") as session,
        readers.begin_session(model(), "xl3m") as other,
    ):
        assert session.path == tmp_path / "kept"
        session.read(LONG)
        counts, files = session.counts, session.files
    record = json.loads((tmp_path / "kept" / "session.json").read_text())
    assert (record["model"], record["method"], record["counts"]) == ("tiny", "xl3m(segment=64)", counts.as_dict())
    with opened(tmp_path / "kept") as session:
        assert (session.counts, session.files, session.budget) == (counts, files, Budget("1MiB"))
        session.chat("a?", **HOW).text  # noqa: B018
        session.replay("b?", "c.")
        turns = session._conversation.turns
    with opened(tmp_path / "kept") as session, session.fork() as fork:
        assert session._conversation.turns == turns and len(turns) == 2
        wanted = outcome(session)
        fork.read(SHORT)
        fork.save(tmp_path / "fork")
        left = outcome(fork)
        session.read("More.")
        assert outcome(session) != wanted
    with opened(tmp_path / "fork") as session:
        assert outcome(session) == left
    other.close()


def test_a_fork_that_has_read_nothing_is_saved_as_it_was(tmp_path: Path) -> None:
    with kept(tmp_path / "kept") as session:
        session.read(LONG)
        wanted = outcome(session)
        with session.fork() as fork:
            session.read(SHORT)
            fork.save(tmp_path / "fork")
    with opened(tmp_path / "fork") as fork:
        assert outcome(fork) == wanted


def test_an_answer_that_is_broken_off_is_kept(tmp_path: Path) -> None:
    with kept(tmp_path / "kept") as session:
        session.read(SHORT)
        next(iter(session.chat("a?", ignore_eos=True)))
    with opened(tmp_path / "kept") as session:
        assert len(session._conversation.turns) == 1


@pytest.mark.parametrize("ended", [KeyboardInterrupt, OSError])
def test_a_broken_reading_goes_on_after_opening(tmp_path: Path, ended: type[BaseException]) -> None:
    text, told = LONG * 200, []

    def stop(state: Progress) -> None:
        told.append(state)
        if len(told) > 2:
            raise ended

    with kept(tmp_path / "kept") as session, pytest.raises(ended):
        session.read(text, stop)
    with opened(tmp_path / "kept") as session, readers.begin_session(model(), "xl3m") as whole:
        assert isinstance(whole, ReaderSession)
        before = session.counts.seen
        if ended is KeyboardInterrupt:
            assert before == told[-1].tokens > 0
        session.read(text)
        whole.read(text)
        assert outcome(session) == outcome(whole)


@pytest.mark.parametrize("name", ["xl3m", "topk"])
def test_a_reading_that_fails_behind_a_broken_one_loses_nothing(tmp_path: Path, name: str) -> None:
    """What was committed while a document was read stays on disk until the next commit, whatever is cut meanwhile."""
    text = "\n".join(f"Line {number}: it rained." for number in range(2_000))

    def stop(state: Progress) -> None:
        if state.tokens > 2_000:
            raise KeyboardInterrupt

    def broken() -> Iterator[str]:
        yield "It was late. " * 10
        raise OSError("the medium is gone")

    with readers.begin_session(model(), name, None, tmp_path / "kept") as session:
        with pytest.raises(KeyboardInterrupt):
            session.read(text, stop)
        counts = session.counts
        with pytest.raises(OSError, match="the medium is gone"):
            session.read(Document("gone", broken, fingerprint=lambda: "gone"))
        assert [file["file"] for file in session.files] == ["<text>"]
    with farspan.open(tmp_path / "kept", model()) as session:
        assert session.counts.seen == counts.seen
        assert session.quote("<text>", 0, 16) == text[:16]
        session.read(text)
        assert session.files[-1]["complete"]
        assert session.quote("<text>") == text


def test_a_fork_of_what_is_being_read_keeps_to_it(tmp_path: Path) -> None:
    def fork(state: Progress) -> None:
        forks.append(session.fork())
        raise KeyboardInterrupt

    for later in (LONG, LONG * 200):
        forks: list[Any] = []
        with readers.begin_session(model(), "xl3m") as session:
            with pytest.raises(KeyboardInterrupt):
                session.read(LONG * 300, fork)
            (forked,) = forks
            wanted = forked.counts, forked.files
            session.read(Document.from_text(later, "secret"))
            forked.save(tmp_path / f"fork-{len(later)}")
            forked.close()
        with opened(tmp_path / f"fork-{len(later)}") as again:
            assert (again.counts, again.files) == wanted
            assert [(file["file"], file["complete"]) for file in again.files] == [("<text>", False)]
            with pytest.raises(InputError, match="has not read 'secret'"):
                again.quote("secret")


def test_what_is_no_session_of_this_model_is_refused(tmp_path: Path) -> None:
    kept(tmp_path / "kept").close()
    with pytest.raises(SessionError, match="there is a session"):
        kept(tmp_path / "kept")
    with pytest.raises(MethodError, match="begin_session"):
        open_session(tmp_path / "kept", model())
    with pytest.raises(SessionError, match="was made with tiny"):
        farspan.open(tmp_path / "kept", Model(llama(num_hidden_layers=3), tokenizer(), "other"))
    with opened(tmp_path / "kept"), pytest.raises(SessionError, match="in use"):
        opened(tmp_path / "kept")
    with pytest.raises(MethodError):
        kept(tmp_path / "none", "gemfilter(layer=99)")
    with pytest.raises(BudgetError, match="1KiB"):
        kept(tmp_path / "none", "xl3m", "1KiB")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("turns", ["abc", 5, ["x"], [[5]], None])
def test_a_damaged_record_is_told(tmp_path: Path, turns: object) -> None:
    kept(tmp_path / "kept").close()
    record = tmp_path / "kept" / "session.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "turns": turns}))
    with pytest.raises(SessionError, match="damaged"):
        opened(tmp_path / "kept")
