"""Reading that was broken off goes on where it stopped, in the same session and in one that is opened again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import farspan
from farspan.types import Progress
from tests.engine.conftest import BOOK, Fed
from tests.engine.outcomes import check_outcome, outcome, uninterrupted
from tests.tiny import model

METHODS = ["full", "infllm", "topk", "streaming"]


class Pulled(BaseException):
    """The plug."""


def pull_after(chunks: int, kind: type[BaseException] = Pulled) -> Callable[[Progress], None]:
    """A progress callback that raises at a chunk."""
    left = chunks

    def progress(_: Progress) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise kind

    return progress


@pytest.mark.parametrize("kind", [Pulled, KeyboardInterrupt])
@pytest.mark.parametrize("method", METHODS)
def test_read_on_in_the_same_session(book: Path, method: str, kind: type[BaseException], fed: Fed) -> None:
    """Whenever it was broken off, also in the middle of a character."""
    wanted = uninterrupted(book, method, 11)
    tokens = [1, *model().encoder.encode(BOOK).ids]
    assert fed.take()[: len(tokens)] == tokens
    with model().session(method, chunk=11) as session:
        for chunks in (1, 1, 2, 3, 19):
            with pytest.raises(kind):
                session.read(book, progress=pull_after(chunks, kind))
            assert [file["complete"] for file in session.files] == [False]
        session.read(book)
        assert fed.take() == tokens
        assert [(file["complete"], file["chars"]) for file in session.files] == [(True, len(BOOK))]
        check_outcome(outcome(session), wanted)


@pytest.mark.parametrize("method", METHODS)
def test_read_on_after_opening(book: Path, tmp_path: Path, method: str, fed: Fed) -> None:
    """Every time from the very chunk at which Ctrl-C came."""
    wanted = uninterrupted(book, method, 11)
    fed.take()
    with model().session(method, path=tmp_path / "kept", chunk=11) as session, pytest.raises(KeyboardInterrupt):
        session.read(book, progress=pull_after(1, KeyboardInterrupt))
    for chunks in (1, 2, 3, 19):
        with farspan.open(tmp_path / "kept", model()) as session, pytest.raises(KeyboardInterrupt):
            assert session.counts.seen == len(fed.ids)
            session.read(book, progress=pull_after(chunks, KeyboardInterrupt))
    with farspan.open(tmp_path / "kept", model()) as session:
        session.read(book)
        assert fed.take() == [1, *model().encoder.encode(BOOK).ids]
        check_outcome(outcome(session), wanted)


def test_another_file_after_one_that_was_broken_off(book: Path, tmp_path: Path, fed: Fed) -> None:
    """What was read of the first stays, and so do its places."""
    other = tmp_path / "other.txt"
    other.write_text("Another text.")
    encode = model().encoder.encode
    with model().session(chunk=11) as session:
        with pytest.raises(Pulled):
            session.read(book, progress=pull_after(3))
        session.read(other)
        assert fed.take() == [1, *encode(BOOK).ids[:33], *encode("\n\n").ids, *encode("Another text.").ids]
        names = {str(book): BOOK, str(other): "Another text."}
        for source in session.ask("what?", max_new_tokens=8).sources:
            assert source.text == names[source.file][source.start : source.end]


@pytest.mark.parametrize("then", ["chat", "save"])
def test_broken_off_asked_saved_and_read_on(book: Path, tmp_path: Path, then: str, fed: Fed) -> None:
    """Places in what was read so far are still right when tokens of a chat stand behind it."""
    with model().session(chunk=11) as session:
        with pytest.raises(Pulled):
            session.read(book, progress=pull_after(9))
        if then == "chat":
            session.chat("and then?", max_new_tokens=2).text  # noqa: B018
        session.save(tmp_path / "saved")
    with farspan.open(tmp_path / "saved", model()) as opened:
        sources = opened.ask("what?", max_new_tokens=8).sources
        assert sources
        for source in sources:
            assert source.text == BOOK[source.start : source.end]
        fed.take()
        opened.read(book)
        ids = model().encoder.encode(BOOK).ids
        assert fed.take()[-(len(ids) - 99) :] == ids[99:]
