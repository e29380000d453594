"""Sessions in folders: saved and opened, damaged and refused; budgets and folders that cannot be."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import farspan
from farspan.engine import Model
from farspan.engine.store import VERSION
from farspan.errors import BudgetError, SessionError
from farspan.types import Budget
from tests.engine.conftest import BOOK
from tests.engine.outcomes import check_outcome, outcome
from tests.tiny import every_method, least_budget, llama, model, random_ids, tokenizer


def test_a_session_with_a_folder_is_kept(book: Path, tmp_path: Path) -> None:
    with model().session("topk", path=tmp_path / "kept", chunk=16) as session:
        assert session.path == tmp_path / "kept"
        session.read(book)
        session.chat("one?", max_new_tokens=4).text  # noqa: B018
        counts, files = session.counts, session.files
    record = json.loads((tmp_path / "kept" / "session.json").read_text())
    assert record["counts"] == counts.as_dict() and record["files"] == files
    assert (record["model"], record["method"], record["chunk"]) == ("tiny", "topk", 16)
    assert record["dtype"] == "float32"
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


def test_a_tier_that_is_given_twice_is_refused() -> None:
    with pytest.raises(BudgetError, match="gives device twice") as caught:
        Budget.parse("device=1MiB, device=2MiB")
    assert caught.value.fix


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
    "layers/000.blocks.k",
    "layers/001.blocks.v",
    "layers/001.index.mean",
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


@pytest.mark.parametrize(
    "key", ["model_fingerprint", "dtype", "layers", "transcript", "method", "budget", "stage", "version"]
)
def test_a_record_that_lacks_something_is_refused(kept: Path, key: str) -> None:
    record = json.loads((kept / "session.json").read_text())
    del record[key]
    (kept / "session.json").write_text(json.dumps(record))
    with pytest.raises(SessionError):
        farspan.open(kept, model())


def test_a_session_of_an_earlier_version_is_refused(kept: Path) -> None:
    record = json.loads((kept / "session.json").read_text())
    (kept / "session.json").write_text(json.dumps({**record, "version": VERSION - 1}))
    with pytest.raises(SessionError, match=f"has version {VERSION - 1}, and this farspan reads {VERSION}") as caught:
        farspan.open(kept, model())
    assert "read the text again" in caught.value.fix


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


def test_a_session_of_another_dtype_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    save_pretrained(tmp_path / "model", torch.bfloat16)
    in_float32 = farspan.load(tmp_path / "model", dtype="float32")
    with in_float32.session("topk", path=tmp_path / "kept", chunk=16) as session:
        session.read(BOOK)
        wanted = outcome(session)
    before = contents(tmp_path / "kept")
    with pytest.raises(SessionError, match=r"holds float32.* in bfloat16") as caught:
        farspan.open(tmp_path / "kept", farspan.load(tmp_path / "model"))
    assert "float32" in caught.value.fix
    assert contents(tmp_path / "kept") == before
    for named in (None, tmp_path / "model"):
        with farspan.open(tmp_path / "kept", named, device="cpu") as opened:  # loaded in the session's dtype
            assert opened.model.dtype == "float32"
            check_outcome(outcome(opened), wanted)


def save_pretrained(folder: Path, dtype: torch.dtype) -> None:
    """A checkpoint of the tiny model in a dtype."""
    llama().to(dtype).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("method", every_method())
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
