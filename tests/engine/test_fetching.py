"""Blocks that lie on disk, met where they are kept once they were fetched: what is computed stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import farspan
from farspan.engine import Session
from farspan.errors import BudgetError
from farspan.types import Budget
from tests.tiny import WIDE, WINDOW, different_ids, least_budget, wide

READ, WRITTEN = 400, 12
METHODS = [
    "infllm(n_local=32, block=8, top_k=4)",
    "infllm(n_local=32, block=8, top_k=4, heads=own)",
    "topk(n_local=32, block=8, top_k=3, when=both)",
    "em_llm(n_local=32, n_mem=24)",
    "quest(n_local=32, page_size=8, token_budget=24, dense_layers=0)+low_rank(rank=5)",
]
TEXT = different_ids(READ + 2 * WRITTEN, vocabulary=WIDE)


def tight(method: str, blocks: int) -> Budget:
    """A budget with room for the least by which all that fits the window is met, and so many blocks of eight tokens."""

    def made(budget: Budget) -> Session:
        session = wide().session(method, budget, chunk=16)
        if session._stream.kv.layers[0].plan.dense < WINDOW:
            session.close()
            raise BudgetError("it meets less")
        return session

    return Budget(least_budget(made) + blocks * 8 * wide().kv_bytes_per_token)


def written(session: Session, ids: list[int]) -> Tensor:
    """The logits at these tokens, taken in one by one as an answer is."""
    kv = session._stream.kv
    return torch.cat([logits for one in ids if (logits := kv.step([one], "last", answering=True)) is not None])


def slots(session: Session) -> list[Any]:
    """Those of all layers."""
    return [layer.arena.slots for layer in session._stream.kv.layers if layer.arena is not None]


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_is_the_same_whatever_lies_on_disk(method: str) -> None:
    more = TEXT[READ : READ + WRITTEN]
    with wide().session(method, chunk=16) as session:
        read = session.logits(TEXT[:READ])
        wanted = written(session, more)
        fetched = session.counts.fetched
    for blocks in (2, 8, 14):
        with wide().session(method, tight(method, blocks), chunk=16) as session:
            torch.testing.assert_close(session.logits(TEXT[:READ]), read, atol=1e-5, rtol=0)
            assert session.counts.stored
            with session.fork() as fork:
                torch.testing.assert_close(written(fork, more), wanted, atol=1e-5, rtol=0)
                written(fork, TEXT[READ + WRITTEN :])
            assert any(each.nbytes for each in slots(session)) or blocks == 2
            torch.testing.assert_close(written(session, more), wanted, atol=1e-5, rtol=0)
            assert session.counts.fetched == fetched


@pytest.mark.parametrize("method", METHODS)
def test_what_was_fetched_counts_and_keeps_to_the_budget(method: str) -> None:
    budget = tight(method, 24)
    assert budget.device is not None
    filled = 0
    with wide().session(method, budget, chunk=16) as session:
        for start in range(0, READ, 50):
            session.read(TEXT[start : start + 50])
            written(session, TEXT[start : start + 4])
            held = session.counts.kv_bytes["device"]
            tensors = [value for each in slots(session) for value in each._data.values()]
            assert sum(value.untyped_storage().nbytes() for value in tensors) == sum(s.nbytes for s in slots(session))
            assert held <= budget.device.amount
            filled = max(filled, held)
        assert tensors and filled > 0.6 * budget.device.amount


def test_a_session_that_is_opened_again_fetches_anew(tmp_path: Path) -> None:
    method, more = METHODS[0], TEXT[READ : READ + WRITTEN]
    with wide().session(method, tight(method, 24), chunk=16) as session:
        session.read(TEXT[:READ])
        wanted = written(session, more[:4])
        session.save(tmp_path / "saved")
        wanted = torch.cat((wanted, written(session, more[4:])))
    with farspan.open(tmp_path / "saved", wide()) as again:
        assert not any(each.nbytes for each in slots(again))
        torch.testing.assert_close(written(again, more[4:]), wanted[4:], atol=1e-5, rtol=0)
        assert any(each.nbytes for each in slots(again))
