"""Sessions in folders: interrupted and read on, saved and opened, damaged and refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import farspan
from farspan.engine import Model, Session
from farspan.errors import BudgetError, SessionError, StorageFull
from farspan.types import Budget, Counts, Progress
from tests.engine.conftest import BOOK, Fed
from tests.tiny import least_budget, llama, model, random_ids, tokenizer

METHODS = ["full", "infllm", "topk", "streaming"]
Outcome = tuple[Counts, list[int], Tensor]


def outcome(session: Session) -> Outcome:
    """Where the session stands, what it answers, and its logits when it goes on."""
    counts = session.counts
    return counts, session.ask("what was it?", max_new_tokens=6).ids, session.logits(random_ids(20))


def check_outcome(found: Outcome, wanted: Outcome) -> None:
    assert found[0].seen == wanted[0].seen
    assert found[:2] == wanted[:2]
    torch.testing.assert_close(found[2], wanted[2], atol=1e-5, rtol=0)


def uninterrupted(book: Path, method: str, chunk: int, budget: Budget | None = None) -> Outcome:
    with model().session(method, budget, chunk=chunk) as session:
        session.read(book)
        return outcome(session)


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


def test_a_session_with_a_folder_is_kept(book: Path, tmp_path: Path) -> None:
    with model().session("topk", path=tmp_path / "kept", chunk=16) as session:
        assert session.path == tmp_path / "kept"
        session.read(book)
        session.chat("one?", max_new_tokens=4).text  # noqa: B018
        counts, files = session.counts, session.files
    record = json.loads((tmp_path / "kept" / "session.json").read_text())
    assert record["counts"] == counts.as_dict() and record["files"] == files
    assert (record["model"], record["method"], record["chunk"]) == ("tiny", "topk", 16)
    with farspan.open(tmp_path / "kept", model()) as opened:
        assert opened.counts == counts and opened.files == files


def test_a_chat_goes_on_after_opening(tmp_path: Path) -> None:
    with model().session() as whole:
        whole.read("alpha")
        wanted = [whole.chat(message, max_new_tokens=5).ids for message in ("one?", "two?", "three?")]
    found = []
    with model().session(path=tmp_path / "kept") as session:
        session.read("alpha")
    for message in ("one?", "two?", "three?"):
        with farspan.open(tmp_path / "kept", model()) as session:
            found.append(session.chat(message, max_new_tokens=5).ids)
    assert found == wanted


def test_saving_a_fork_and_going_on_with_all(book: Path, tmp_path: Path) -> None:
    with model().session("infllm", chunk=16) as parent:
        parent.read(book)
        with parent.fork() as fork:
            fork.read("Something of its own.")
            fork.save(tmp_path / "fork")
            parent.save(tmp_path / "parent")
            parent.read("Something else.")
            wanted = outcome(fork)
            wanted_parent = outcome(parent)
    with farspan.open(tmp_path / "fork", model()) as opened:
        check_outcome(outcome(opened), wanted)
        assert [file["file"] for file in opened.files] == [str(book), "<text>"]
    with farspan.open(tmp_path / "parent", model()) as opened:
        opened.read("Something else.")
        check_outcome(outcome(opened), wanted_parent)


BUDGETS = [
    Budget(),
    Budget(1_234_567),
    Budget("3.3MiB", host=None),
    Budget(None, None, None),
    Budget("1000", disk="7777777"),
]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_a_budget_comes_back_as_it_was(tmp_path: Path, budget: Budget) -> None:
    assert Budget.parse(str(budget)) == budget
    with model().session("infllm", budget, path=tmp_path / "kept", chunk=16):
        pass
    with farspan.open(tmp_path / "kept", model()) as opened:
        assert opened.budget == budget


@pytest.fixture(scope="module")
def kept_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a session with blocks on disk and text."""
    folder = tmp_path_factory.mktemp("sessions") / "kept"
    with model().session("infllm", path=folder, chunk=16) as session:
        session.read(random_ids(300))
        session.read(BOOK)
    return folder


@pytest.fixture
def kept(kept_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(kept_once, tmp_path / "kept"))


KEPT_FILES = [
    "session.json",
    "state",
    "layers/000.k",
    "layers/001.v",
    "layers/001.mean",
    "text/text.utf8",
    "text/text.index",
    "text/documents.jsonl",
    "text/tokens.bin",
]


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "half"])
@pytest.mark.parametrize("name", KEPT_FILES)
def test_a_damaged_session_is_refused(kept: Path, name: str, damage: str) -> None:
    path = next(kept.glob("state-*")) if name == "state" else kept / name
    if damage == "missing":
        path.unlink()
    else:
        size = path.stat().st_size
        os.truncate(path, {"empty": 0, "cut": size - 2, "half": size // 2}[damage])
    with pytest.raises(SessionError) as caught:
        farspan.open(kept, model())
    assert caught.value.exit_code == 3 and caught.value.fix
    assert str(kept) in str(caught.value)
    with pytest.raises(SessionError):  # and was not made worse, nor left locked
        farspan.open(kept, model())


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"version": 1}', '{"version": 99, "state": "x"}', "\0"])
def test_a_record_that_is_none_is_refused(kept: Path, content: str) -> None:
    (kept / "session.json").write_text(content)
    with pytest.raises(SessionError):
        farspan.open(kept, model())


@pytest.mark.parametrize("key", ["model_fingerprint", "layers", "transcript", "method", "budget", "stage", "version"])
def test_a_record_that_lacks_something_is_refused(kept: Path, key: str) -> None:
    record = json.loads((kept / "session.json").read_text())
    del record[key]
    (kept / "session.json").write_text(json.dumps(record))
    with pytest.raises(SessionError):
        farspan.open(kept, model())


def test_what_lies_behind_the_last_commit_is_cut_off(kept: Path) -> None:
    with farspan.open(kept, model()) as session:
        wanted = outcome(session)
    shutil.copytree(kept, kept.parent / "copy")
    for path in [*(kept / "layers").iterdir(), *(kept / "text").iterdir()]:
        with path.open("ab") as file:
            file.write(b"\xff" * 1001)
    with farspan.open(kept.parent / "copy", model()) as session:
        before = outcome(session)
    with farspan.open(kept, model()) as session:
        check_outcome(outcome(session), before)
    check_outcome(before, wanted)


def test_refused_for_other_reasons(kept: Path, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no session in"):
        farspan.open(tmp_path / "nowhere", model())
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(SessionError, match="already"):
        model().session(path=kept)
    with model().session() as session, pytest.raises(SessionError, match="already"):
        session.save(kept)
    other = Model(llama(intermediate_size=80), tokenizer(), "other")
    with pytest.raises(SessionError, match="made with tiny, not with other"):
        farspan.open(kept, other)
    with farspan.open(kept, model()):
        with pytest.raises(SessionError, match="in use"):
            farspan.open(kept, model())
        with pytest.raises(SessionError):
            model().session(path=kept)
    farspan.open(kept, model()).close()


def test_other_weights_of_the_same_shape_are_another_model(kept: Path) -> None:
    changed = llama()
    changed.model.layers[1].mlp.down_proj.weight.data *= 1.01
    with pytest.raises(SessionError, match="made with"):
        farspan.open(kept, Model(changed, tokenizer(), "tiny"))


@pytest.mark.parametrize("method", farspan.methods.names())
def test_a_budget_that_cannot_be_met(method: str) -> None:
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    model().session(method, Budget(least), chunk=16).close()
    with pytest.raises(BudgetError, match=r"[\d.]+\w+ is too small: .* is the least") as caught:
        model().session(method, Budget(least - 1), chunk=16)
    assert caught.value.exit_code == 4
    advised = caught.value.fix.split("--budget ")[1].split(",")[0]
    model().session(method, advised, chunk=16).close()
    with pytest.raises(BudgetError):
        model().session(method, "1", chunk=16)


def test_a_folder_needs_a_disk_tier(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="disk"):
        model().session("infllm", Budget(disk=0), path=tmp_path / "kept")
    assert not (tmp_path / "kept" / "session.json").exists()
    model().session("infllm", path=tmp_path / "kept").close()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_one(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a file")
    with model().session() as session:
        for make in (lambda: model().session(path=tmp_path / place), lambda: session.save(tmp_path / place)):
            with pytest.raises(SessionError) as caught:
                make()
            assert str(tmp_path / place) in caught.value.message and caught.value.fix
    with pytest.raises(SessionError):
        farspan.open(tmp_path / place, model())
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.parametrize("method", ["full", "infllm", "topk"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_tier_leaves_a_session_to_ask(book: Path, tmp_path: Path, method: str, folder: bool) -> None:
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    budget = Budget(least, disk=3 * least)
    with model().session(method, budget, path=tmp_path / "kept" if folder else None, chunk=16) as session:
        with pytest.raises(StorageFull, match="full") as caught:
            session.read(book.with_name("book.txt"))
            session.read(random_ids(3000))
        assert caught.value.exit_code == 4 and caught.value.fix
        counts = session.counts
        assert counts.seen == counts.kept + counts.stored + counts.dropped > 100
        assert counts.kv_bytes["disk"] <= 3 * least
        with pytest.raises(StorageFull):
            session.read(random_ids(600))
        for _ in range(2):
            assert session.ask("what was it?", max_new_tokens=4).ids
    if folder:
        with farspan.open(tmp_path / "kept", model()) as opened:
            assert opened.ask("what was it?", max_new_tokens=4).ids


class FullDisk:
    """Writes of blocks fail from some call on, until it is repaired."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        self.write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, *arguments: Any, **_: Any) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(*arguments)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
@pytest.mark.parametrize("method", ["full", "infllm"])
def test_a_full_disk_loses_nothing(
    book: Path, tmp_path: Path, method: str, after: int, monkeypatch: pytest.MonkeyPatch, fed: Fed
) -> None:
    """When there is space again, reading goes on where it stopped."""
    least = least_budget(lambda budget: model().session(method, budget, chunk=16))
    wanted = uninterrupted(book, method, 16, Budget(least))
    fed.take()
    with model().session(method, Budget(least), chunk=16) as session:
        disk = FullDisk(monkeypatch, after)
        for _ in range(2):
            with pytest.raises(StorageFull, match="full"):
                session.read(book)
        counts = session.counts
        assert counts.seen == counts.kept + counts.stored + counts.dropped == len(fed.ids)
        disk.left = 10**9
        session.read(book)
        assert fed.take() == [1, *model().encoder.encode(BOOK).ids]
        check_outcome(outcome(session), wanted)


def test_a_disk_that_fills_up_while_committing(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = uninterrupted(book, "infllm", 16)
    with model().session("infllm", path=tmp_path / "kept", chunk=16) as session, monkeypatch.context() as patched:
        disk = FullDisk(patched, 10**9)
        patched.setattr(Path, "write_text", disk)
        disk.left = 0
        with pytest.raises(StorageFull, match="full"):
            session.read(book)
    with farspan.open(tmp_path / "kept", model()) as opened:
        opened.read(book)
        check_outcome(outcome(opened), wanted)
