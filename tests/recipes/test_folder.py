"""The folder of a run: nobody else's model is touched, one process writes, and what is saved is whole."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.errors import InputError, StorageFull, UsageError
from farspan.recipes.checkpoints import Run, checkpoint, resume
from farspan.recipes.holding import held, room_on_disk

Make = Callable[[int], LlamaForCausalLM]


def a_run(make: Make, *, step: int = 0) -> Run:
    model, average = make(step), make(step + 1)
    run = Run(model, average, torch.optim.AdamW(model.parameters()), {"seed": "0"})
    run.state.step = step
    return run


def read(out: Path, make: Make) -> tuple[int, torch.Tensor]:
    """The step that the folder's state has, and a weight of the model beside it."""
    run = a_run(make)
    with held(out):
        assert resume(out, run)
    loaded = AutoModelForCausalLM.from_pretrained(out / "model")
    return run.state.step, loaded.lm_head.weight


@pytest.mark.parametrize("name", ["model", "model.new", "model.old"])
def test_a_model_of_another_origin_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    with pytest.raises(UsageError, match=rf"{name} is there already"), held(tmp_path):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == [name, "mine"]


def test_a_folder_that_cannot_be_held_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file cannot be made"), held(tmp_path / "file"):
        pass
    with (
        held(tmp_path),
        pytest.raises(UsageError, match="another process trains in"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").mkdir()
        with pytest.raises(UsageError, match="cannot be written to: Is a directory"), held(tmp_path):
            pass


def test_a_model_is_put_back_when_it_was_not_yet_replaced(tmp_path: Path) -> None:
    (tmp_path / "state.pt").touch()
    (tmp_path / "model.old").mkdir()
    with held(tmp_path):
        assert (tmp_path / "model").is_dir()


WRITES: list[tuple[Any, str, int]] = [
    (torch, "save", 0),
    (LlamaForCausalLM, "save_pretrained", 0),
    (PreTrainedTokenizerFast, "save_pretrained", 0),
    *((os, "fsync", number) for number in (0, 1, 2, 5)),
    *((Path, "rename", number) for number in (0, 1, 2)),
]


@pytest.mark.parametrize(("owner", "name", "number"), WRITES)
def test_a_fault_at_any_write_leaves_a_run_to_go_on_from(
    tmp_path: Path, make: Make, words: PreTrainedTokenizerFast, owner: Any, name: str, number: int
) -> None:
    checkpoint(tmp_path, a_run(make, step=3), words)
    _, before = read(tmp_path, make)
    usual, calls = getattr(owner, name), itertools.count()

    def full(*given: Any, **how: Any) -> Any:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(*given, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(StorageFull, match="takes no more"):
            checkpoint(tmp_path, a_run(make, step=5), words)
    assert not list(tmp_path.glob("*.new"))
    step, weight = read(tmp_path, make)
    assert step in (3, 5) and torch.equal(weight, before)
    checkpoint(tmp_path, a_run(make, step=5), words)
    step, weight = read(tmp_path, make)
    assert step == 5 and not torch.equal(weight, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "model", "state.pt"]


def test_a_limit_on_files_that_torch_tells_of_in_its_own_words_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageFull), room_on_disk(tmp_path), Path("/dev/full").open("wb") as file:
        torch.save(torch.zeros(100_000), file)
    with pytest.raises(StorageFull), room_on_disk(tmp_path):
        try:
            raise OSError(errno.EFBIG, "File too large")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904
    with pytest.raises(RuntimeError, match="shapes"), room_on_disk(tmp_path):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"no archive at all"])
def test_a_damaged_state_is_named(tmp_path: Path, make: Make, data: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(data)
    with pytest.raises(InputError, match=r"state\.pt cannot be resumed from.*restore it from a copy"):
        resume(tmp_path, a_run(make))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_a_state_that_was_cut_short_is_named(
    tmp_path: Path, make: Make, words: PreTrainedTokenizerFast, part: float
) -> None:
    checkpoint(tmp_path, a_run(make), words)
    state = tmp_path / "state.pt"
    os.truncate(state, int(state.stat().st_size * part))
    with pytest.raises(InputError, match=r"state\.pt cannot be resumed from"):
        resume(tmp_path, a_run(make))


def test_a_state_of_another_program_is_named(tmp_path: Path, make: Make) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="another version wrote it"):
        resume(tmp_path, a_run(make))
