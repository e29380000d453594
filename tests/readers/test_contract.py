"""What every reader keeps to, whatever it chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from farspan import methods, readers
from farspan.attention.adapter import Chunk, HostedModel
from farspan.engine import Session
from farspan.errors import BudgetError, InputError, MethodError, UsageError
from farspan.readers.kit.session import ReaderSession
from farspan.text import Document
from farspan.types import Counts, Progress
from tests.tiny import WINDOW, model

LINES = [f"Line {number}: it rained in the town of {chr(65 + number % 26)}ay." for number in range(40)]
LONG = "\n".join(LINES)
SHORT = "\n".join(LINES[:2])
HOW: dict[str, Any] = {"max_new_tokens": 6}
WHOLE_ONLY = {"read_twice"}
ANY_LENGTH = sorted(set(readers.names()) - WHOLE_ONLY)


def begun(name: str, text: str = "", budget: str | None = None) -> ReaderSession:
    session = readers.begin_session(model(), name, budget)
    assert isinstance(session, ReaderSession)
    if text:
        session.read(text)
    return session


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The farthest position that any forward reaches."""
    reached, forward = [0], HostedModel.forward_together

    def noting(self: HostedModel, chunks: Sequence[Chunk], *arguments: Any) -> Any:
        reached.extend(chunk.start + len(chunk.ids_T) for chunk in chunks)
        return forward(self, chunks, *arguments)

    monkeypatch.setattr(HostedModel, "forward_together", noting)
    yield reached


def test_the_readers_are_these() -> None:
    assert readers.names() == ["gemfilter", "infini_retri", "read_twice", "xl3m"]
    assert not set(readers.names()) & set(methods.names())


@pytest.mark.parametrize("name", readers.names())
def test_a_card_says_what_it_is(name: str) -> None:
    card = readers.describe(name)
    assert (card.name, card.overflow) == (name, "re-reads")
    assert card.paper and len(card.idea) > 40 and card.details
    assert str(readers.parse(name)) == name


@pytest.mark.parametrize("name", readers.names())
def test_a_text_that_fits_is_answered_as_full_attention_does(name: str) -> None:
    with model().session("full") as full, begun(name, SHORT) as session:
        full.read(SHORT)
        wanted, answer = full.ask("Where?", **HOW), session.ask("Where?", **HOW)
        assert answer.ids == wanted.ids
        assert answer.usage == wanted.usage
        assert answer.counts == wanted.counts
        assert [source.text for source in answer.sources] == [source.text for source in wanted.sources]


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_no_forward_is_longer_than_the_window(name: str, longest: list[int]) -> None:
    with begun(name, LONG) as session:
        assert session.counts.seen > 8 * WINDOW
        assert longest == [0], "reading runs no model"
        counts = session.ask("Where did it rain?", **HOW).counts
    assert WINDOW // 2 < max(longest) <= WINDOW
    assert counts.kv_bytes["device"] <= 2 * WINDOW * model().kv_bytes_per_token


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_a_small_budget_makes_the_window_smaller(name: str, longest: list[int]) -> None:
    budget = int(1.6 * WINDOW * model().kv_bytes_per_token)
    with begun(name, LONG, f"{budget}B") as session:
        counts = session.ask("Where?", **HOW).counts
        assert max(longest) <= WINDOW // 2
        assert counts.kv_bytes["device"] <= budget
    with pytest.raises(BudgetError, match="1KiB"):
        begun(name, LONG, "1KiB")


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_every_token_is_counted_once(name: str) -> None:
    with begun(name, LONG) as session:
        before = session.counts
        assert before.seen == before.stored and not before.exact
        answer = session.ask("Where?", **HOW)
        counts, usage = answer.counts, answer.usage
        assert counts.seen == counts.kept + counts.stored + counts.dropped
        assert 0 < counts.stored < before.stored and counts.kept > 0 and counts.fetched >= before.seen
        assert not counts.exact
        assert usage.context_tokens == before.seen + len(model().template.head)
        assert counts.seen == usage.context_tokens + usage.prompt_tokens + usage.completion_tokens - 1
        assert session.counts == before


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_the_prompt_is_the_kept_text_in_order_and_the_sources_stand_where_they_say(name: str) -> None:
    with begun(name) as session:
        for number, part in enumerate((LONG, SHORT, LONG[::-1])):
            session.read(Document.from_text(part, f"{number}.txt"))
        texts = {"0.txt": LONG, "1.txt": SHORT, "2.txt": LONG[::-1]}
        assert [file["file"] for file in session.files] == list(texts)
        answer = session.ask("Where?", **HOW)
        starts = [start for start in answer.stream.transcript._own.starts if start >= 0]  # type: ignore[union-attr]
        assert starts == sorted(starts) and len(starts) > 5
        assert answer.sources
        for source in answer.sources:
            text = texts[source.file]
            assert text[source.start : source.end] == source.text
            assert text[: source.start].count("\n") == source.line - 1


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_asking_leaves_it_as_it_was_and_a_fork_answers_the_same(name: str) -> None:
    with begun(name, LONG) as session:
        first = session.ask("Where?", **HOW).ids
        with session.fork() as fork:
            assert fork.ask("Where?", **HOW).ids == first
            fork.read(SHORT)
            fork.chat("And then?", **HOW).text  # noqa: B018
            with fork.fork() as again:
                assert again.ask("Where?", **HOW).ids == fork.ask("Where?", **HOW).ids
            assert fork.counts.seen > session.counts.seen
            assert len(fork.files) == 2 and len(session.files) == 1
        with session.fork() as early:
            session.read(SHORT)
            assert early.ask("Where?", **HOW).ids == first
            early.read("More.")
            assert early.counts.seen < session.counts.seen
        assert session.ask("Where?", **HOW).ids is not None


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_a_conversation_is_what_full_attention_sees_while_it_fits(name: str) -> None:
    with model().session("full") as full, begun(name, "It rained.") as session:
        full.read("It rained.")
        for one in (full, session):
            one.replay("Where?", "Here.")
        assert session.ask("a?", max_new_tokens=1).counts.exact
        wanted = [full.chat("a?", max_new_tokens=3).ids, full.ask("b?", max_new_tokens=3).ids]
        assert [session.chat("a?", max_new_tokens=3).ids, session.ask("b?", max_new_tokens=3).ids] == wanted


def test_an_answer_that_is_broken_off_stands_before_the_next_turn() -> None:
    told = []
    for close in (False, True):
        with begun("xl3m", SHORT) as session:
            reply = session.chat("a?", ignore_eos=True)
            next(iter(reply))
            if close:
                reply.close()
            session.chat("b?", max_new_tokens=3, ignore_eos=True).close()
            assert reply.ended
            told.append(session.ask("c?", max_new_tokens=5, ignore_eos=True).ids)
    assert told[0] == told[1]


def test_a_message_that_is_refused_leaves_the_answer_alone() -> None:
    with begun("xl3m", SHORT) as session:
        reply = session.chat("a?", max_new_tokens=4, ignore_eos=True)
        pieces = iter(reply)
        next(pieces)
        for wrong in ({"message": " "}, {"message": "b?", "max_new_tokens": 0}):
            with pytest.raises((InputError, UsageError)):
                session.chat(**wrong)  # type: ignore[arg-type]
        assert len([*pieces]) > 0 and len(reply.ids) == 4


def test_the_oldest_turns_are_left_out_first(longest: list[int]) -> None:
    with begun("xl3m", LONG) as session, begun("xl3m", LONG) as other:
        for number in range(30):
            session.replay(f"Q{number}?", "So.")
        other.replay("Q28?", "So.")
        other.replay("Q29?", "So.")
        session.ask("Where?", **HOW).text  # noqa: B018
        assert max(longest) <= WINDOW
        whole = other._conversation.newest(WINDOW)
        assert session._conversation.newest(len(whole)) == whole


def test_an_answer_that_was_not_told_all_turns_is_not_exact() -> None:
    with begun("xl3m", "It rained.") as session:
        exact = []
        for _ in range(12):
            exact.append(session.ask("Where?", **HOW).counts.exact)
            session.replay("Q?", "So.")
        assert exact[0] and not exact[-1]


@pytest.mark.parametrize("name", readers.names())
def test_without_a_text_it_answers_too(name: str) -> None:
    with model().session("full") as full, begun(name) as session:
        assert session.ask("Who?", **HOW).ids == full.ask("Who?", **HOW).ids


@pytest.mark.parametrize("name", readers.names())
def test_errors(name: str) -> None:
    with begun(name) as session:
        with pytest.raises(InputError, match="empty"):
            session.read("  ")
        session.read(SHORT)
        with pytest.raises(InputError, match="question is empty"):
            session.ask(" ")
        with pytest.raises(UsageError, match="makes nothing of a highlight"):
            session.ask("Who?", highlight="it")
        with pytest.raises(InputError, match="token ids"):
            session.read([5, 6])
        with pytest.raises(InputError, match="leaves no room"):
            session.ask("why? " * WINDOW)
        with pytest.raises(UsageError):
            session.ask("Who?", max_new_tokens=0)
    session.close()


def test_expressions() -> None:
    assert str(readers.parse("infini_retri(top_k=9)")) == "infini_retri(top_k=9)"
    assert str(readers.parse("full")) == "full"
    assert readers.parse(readers.parse("xl3m")) == readers.parse("xl3m")
    with pytest.raises(MethodError, match="stands alone"):
        readers.parse("infini_retri+full")
    with pytest.raises(MethodError, match="did you mean 'infini_retri'"):
        readers.parse("infini_retr")
    with pytest.raises(MethodError, match="no keyword 'topk'"):
        readers.parse("gemfilter(topk=2)")
    with pytest.raises(MethodError, match="whole number"):
        readers.parse("gemfilter(top_k=0)")
    with pytest.raises(MethodError, match="no reader"):
        readers.get("nothing")
    assert str(readers.parse_method("topk+int8")) == "topk+int8"
    with pytest.raises(MethodError, match="xl3m runs no model until it is asked"):
        readers.parse_method("xl3m")
    with readers.begin_session(model(), "streaming") as session:
        assert isinstance(session, Session)


def test_progress_is_told_and_a_broken_reading_goes_on() -> None:
    told: list[Progress] = []

    class Stopped(Exception):
        pass

    def stop(state: Progress) -> None:
        told.append(state)
        raise Stopped

    text = LONG * 40
    with begun("xl3m") as session, begun("xl3m", text) as other:
        with pytest.raises(Stopped):
            session.read(text, stop)
        assert 0 < told[0].chars < len(text) == told[0].total_chars
        assert not session.files[0]["complete"]
        session.read(text)
        assert session.files == other.files
        assert session._text.piece(0, session.counts.seen) == other._text.piece(0, other.counts.seen)
        assert isinstance(told[0].counts, Counts)
