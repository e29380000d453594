"""The folder that a training run writes to: one process holds it, and what is in it is the run's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farspan.errors import StorageFull, UsageError, is_full
from farspan.folders import hold, make_folder, put_back

STATE, MODEL, TOKENIZER = "state.pt", "model", "tokenizer"
"""What lies in it: where the run stands, the folder to load, and the tokenizer that both go with."""


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Make the folder and keep other processes out of it until this ends.

    Raises UsageError where it cannot be made or written to, another process has it, or a model of another origin is
    in it, which the run would replace.
    """
    make_folder(out)
    _refuse_foreign(out)
    try:
        lock = hold(out)
    except OSError as error:
        raise UsageError(
            f"the folder {out} cannot be written to: {error.strerror}", fix="give another folder with -o"
        ) from error
    if lock is None:
        raise UsageError(f"another process trains in {out}", fix="wait for it, or give another folder with -o")
    try:
        put_back(out / MODEL)
        yield
    finally:
        os.close(lock)


@contextmanager
def room_on_disk(out: Path) -> Iterator[None]:
    """Write in here. Raises StorageFull where the disk takes no more, however deep torch has wrapped that."""
    try:
        yield
    except Exception as error:
        if not any(is_full(cause) for cause in _causes(error)):
            raise
        raise StorageFull(
            f"the disk under {out} takes no more; the run stands at what was saved before",
            fix="free some space and give the command again",
        ) from error


def _refuse_foreign(out: Path) -> None:
    """A run saves its state before its model: without a state, a model is somebody else's."""
    if (out / STATE).exists():
        return
    for name in (MODEL, f"{MODEL}.new", f"{MODEL}.old"):
        if (out / name).exists():
            raise UsageError(
                f"{out / name} is there already, and no {STATE} beside it says that a run of this recipe wrote it",
                fix="give another folder with -o, or move it away",
            )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
