"""What is broken off, refused or runs out of room leaves the session and its folder as they should be."""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

import farspan
from farspan.cache.ring import Ring
from farspan.engine import Model, Session, store
from farspan.engine.uninterrupted import uninterrupted
from farspan.errors import BudgetError, InputError, SessionError, StorageFull
from tests.attention.families import build
from tests.tiny import llama, model, random_ids, tokenizer

METHOD = "infllm(block=16, top_k=2, n_local=32, n_init=4, repr_top_k=2)"
IDS = random_ids(600)


def begun(path: Path | None = None) -> Session:
    return model().session(METHOD, "2MiB", path, chunk=32)


def test_an_end_of_text_token_that_is_not_special_is_no_part_of_the_text() -> None:
    (end,) = tokenizer().encode("e", add_special_tokens=False)
    with Model(llama(eos_token_id=end), tokenizer(), "ends").session() as session:
        session.read("abc")
        answers = [session.ask("q", temperature=1.0, seed=seed, max_new_tokens=60) for seed in range(40)]
        ended = [answer for answer in answers if answer.ids[-1] == end]
    assert ended
    for answer in ended:
        assert answer.text == tokenizer().decode(answer.ids[:-1], skip_special_tokens=True)


def test_tokens_of_a_model_of_sliding_windows_alone_take_bytes_too() -> None:
    hosted = Model(build("Mistral", sliding_window=16), tokenizer(), "slides")
    assert all(fact.sliding_window == 16 for fact in hosted.hosted.facts)
    assert hosted.kv_bytes_per_token == sum(2 * fact.kv_heads * fact.key_dim * 4 for fact in hosted.hosted.facts)
    with hosted.session(budget="8K") as session:
        session.read(list(range(4, 40)))


def tokens_in(session: Session) -> list[int]:
    layers = session._stream.kv.layers
    return [len(layer.sinks) + 16 * layer.arena.length + len(layer.recent) for layer in layers if layer.arena]


@pytest.mark.parametrize("drop", [False, True], ids=["held", "dropped"])
def test_an_answer_that_is_broken_off_ends_before_the_next_turn(drop: bool) -> None:
    with model().session() as session, model().session() as other:
        for each in (session, other):
            reply = each.chat("hello", ignore_eos=True)
            list(islice(reply, 1))
            drawn = reply.drawn
            if each is other:
                reply.close()
            if drop:
                del reply
        wanted = other.chat("more", max_new_tokens=5, ignore_eos=True).ids
        assert session.chat("more", max_new_tokens=5, ignore_eos=True).ids == wanted
        gc.collect()
        assert session._stream.pending == other._stream.pending == wanted[-1:] != drawn
        assert session.counts.seen == other.counts.seen


@pytest.mark.parametrize("what", ["read", "generate", "logits", "replay"])
def test_whatever_comes_next_comes_behind_what_was_drawn(what: str) -> None:
    do = {
        "read": lambda each: each.read("a text"),
        "generate": lambda each: each.generate(IDS[:3], max_new_tokens=2).ids,
        "logits": lambda each: each.logits(IDS[:3]),
        "replay": lambda each: each.replay("ask", "say"),
    }[what]
    seen = []
    for close in (False, True):
        with model().session() as session:
            reply = session.chat("hello", ignore_eos=True)
            list(islice(reply, 2))
            if close:
                reply.close()
            do(session)
            assert reply.ended
            seen.append((session.counts.seen, session.logits(IDS[:4])))
    assert seen[0][0] == seen[1][0]
    torch.testing.assert_close(seen[0][1], seen[1][1])


@pytest.mark.parametrize("what", [lambda s: s.read([10**7]), lambda s: s.read([]), lambda s: s.logits([])])
def test_a_read_of_nothing_or_of_no_tokens_changes_nothing(what: Any) -> None:
    with model().session() as session, model().session() as other:
        try:
            what(session)
        except InputError:
            assert session.counts.seen == 0
        for each in (session, other):
            each.read("The book. ")
        assert session.counts.seen == other.counts.seen
        for refused in (session.logits, session.put):
            with pytest.raises(InputError, match="no token id"):
                refused([10**7])
        session.read("More.")


def test_a_session_stays_in_its_folder_whatever_the_current_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with model().session(METHOD, "200KiB", "mine", chunk=32) as session:
        monkeypatch.chdir(tmp_path / "b")
        session.read(IDS)
        session.save("copy")
    assert not list((tmp_path / "b").glob("mine"))
    monkeypatch.chdir(tmp_path / "a")
    with farspan.open("mine", model()) as opened, farspan.open(tmp_path / "b" / "copy", model()) as copied:
        assert opened.counts.seen == copied.counts.seen == len(IDS)


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_session_that_could_not_begin_is_not_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(store, "save_file", full_disk)
        with pytest.raises(StorageFull):
            begun(tmp_path / "mine")
    begun(tmp_path / "mine").close()


def test_a_session_that_ends_on_a_full_disk_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = begun(tmp_path / "mine")
    session.read(IDS[:30])
    reply = session.chat("hello", max_new_tokens=9, ignore_eos=True)
    list(islice(reply, 1))
    with monkeypatch.context() as patched:
        patched.setattr(store, "save_file", full_disk)
        with pytest.raises(StorageFull):
            session.close()
    with farspan.open(tmp_path / "mine", model()) as opened:
        assert opened.counts.seen == 30


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Does something when blocks are appended next."""
    own, left = Ring.append, list[Any]()

    def append(ring: Ring, rows: Any) -> None:
        if left:
            left.pop()()
        own(ring, rows)

    monkeypatch.setattr(Ring, "append", append)
    return left.append


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_blocks_are_moved_waits_until_they_are(tmp_path: Path, breaking: Any) -> None:
    with begun() as session:
        session.read(IDS)
        wanted = session.logits(IDS[:8], answering=True)
    with begun(tmp_path / "mine") as session:
        session.read(IDS[:320])
        breaking(lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            session.read(IDS[320:])
        assert set(tokens_in(session)) == {session.counts.seen} == {320}
        session.read(IDS[320:])
        torch.testing.assert_close(session.logits(IDS[:8], answering=True), wanted, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_held_back_and_then_what_it_was() -> None:
    usual = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(True)
    assert done and signal.getsignal(signal.SIGINT) is usual


def test_a_failure_while_blocks_are_moved_is_never_committed(tmp_path: Path, breaking: Any) -> None:
    def out_of_memory() -> None:
        raise MemoryError

    with begun(tmp_path / "mine") as session:
        session.read(IDS[:320])
        breaking(out_of_memory)
        with pytest.raises(MemoryError):
            session.read(IDS[320:])
        for going_on in (lambda: session.read(IDS[320:]), session.fork, session.commit):
            with pytest.raises(SessionError, match="some of its own may be gone"):
                going_on()
    with farspan.open(tmp_path / "mine", model()) as opened:
        assert set(tokens_in(opened)) == {320}


def test_a_crash_between_the_files_of_a_commit_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path.replace

    def crashing(path: Path, target: Path) -> Path:
        if target.name == "session.json":
            raise SystemExit
        return own(path, target)

    session = begun(tmp_path / "mine")
    session.read(IDS[:320])
    before = (tmp_path / "mine" / "session.json").read_text()
    session._stream.kv.layers[0].recent.drop_last(16)
    monkeypatch.setattr(Path, "replace", crashing)
    with pytest.raises(SystemExit):
        session.commit()
    monkeypatch.undo()
    session.close()
    assert (tmp_path / "mine" / "session.json").read_text() == before
    with farspan.open(tmp_path / "mine", model()) as opened:
        assert set(tokens_in(opened)) == {320}
        opened.commit()
    assert len(list((tmp_path / "mine").glob("state-*"))) == 1


def test_a_disk_tier_that_holds_no_block_is_refused(tmp_path: Path) -> None:
    for path in (None, tmp_path / "mine"):
        with pytest.raises(BudgetError, match="disk=1KiB is too small"):
            model().session(METHOD, "device=4MiB,disk=1KiB", path)
    assert not list(tmp_path.glob("mine/session.json"))


@pytest.mark.parametrize("disk", ["0", "20KiB"])
def test_a_copy_holds_on_disk_all_that_the_session_held(tmp_path: Path, disk: str) -> None:
    with model().session(METHOD, f"device=2MiB,disk={disk}", chunk=32) as session:
        session.read(IDS)
        session.save(tmp_path / "copy")
        wanted = session.logits(IDS[:8])
    with farspan.open(tmp_path / "copy", model()) as opened:
        torch.testing.assert_close(opened.logits(IDS[:8]), wanted, atol=1e-5, rtol=0)
        opened.read(IDS)
        assert opened.counts.dropped == 0
