"""Who takes part in a contest: all with the same weights, threads and tokens, and whoever fails is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from farspan.bench import contest as contests
from farspan.bench import contestants
from farspan.bench.contest import contest
from farspan.bench.contestants import Contestants, Peers, random_ids
from farspan.bench.costs import Machine
from farspan.bench.peers.hugging_face import next_logits
from farspan.bench.peers.outside import PeerAbsent
from farspan.bench.race import DECODE
from farspan.errors import FarspanError
from farspan.methods import parse
from farspan.types import Budget
from tests.bench.random_llama import fill_the_disk_beyond, model

PEERS = Peers(tokens=100, llama_cpp="python", kvpress="python")


class Worker:
    """Stands in for another interpreter: computes what transformers does, `times` so much."""

    version = "1.0"
    asked: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 (of all of them; each test begins with none)
    times: torch.Tensor | float = 1.0
    fails_at = 1 << 30

    def __init__(self, python: str, side: str, log: Path) -> None:
        self.name = side.removesuffix("_side").replace("_", ".")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, do: str, **values: Any) -> Any:
        self.asked.append((f"{self.name} {do}", values))
        if do == "read" and len(values["ids"]) >= self.fails_at:
            raise FarspanError(f"{self.name} failed: out of memory")
        if do == "logits":
            return (next_logits(model().hosted.model, values["ids"]) * self.times).tolist()
        return (1.0, len(values["ids"])) if do in ("write", "read_on") else None


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> type[Worker]:
    class Fresh(Worker):
        asked: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012

    monkeypatch.setattr(contestants, "Worker", Fresh)
    monkeypatch.setattr(contestants, "write_gguf", lambda weights, path: path.write_text(""))
    machine = Machine(bytes_per_s=1e9, operations_per_s=1e9)
    monkeypatch.setattr(contests.Machine, "measured", classmethod(lambda *_: machine))
    return Fresh


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_all_have_the_same_threads_and_tokens(worker: type[Worker], opened: ExitStack) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = Contestants(model(), opened, 1).peers(PEERS, 80)
    finally:
        torch.set_num_threads(threads)
    assert [each.name for each in found] == ["transformers", "llama.cpp", "kvpress"]
    loads = {what: values for what, values in worker.asked if what.endswith(" load")}
    assert {values["threads"] for values in loads.values()} == {3}
    assert loads["kvpress load"]["ratio"] == 0.5 and loads["kvpress load"]["dtype"] == "float32"
    reads = [values["ids"] for what, values in worker.asked if what.endswith(" read")]
    assert reads == [random_ids(model(), 80)] * 2
    assert [each.item_bytes for each in found] == [4, 2, 4], "llama.cpp keeps float16"
    assert [each.write().keys for each in found] == [80 + 4.5, 80, 40], "kvpress keeps half"


def test_who_computes_something_else_is_left_out(worker: type[Worker], opened: ExitStack) -> None:
    worker.times = -1.0
    found = Contestants(model(), opened, 1)
    assert [each.name for each in found.peers(PEERS, 80)] == ["transformers"]
    assert "llama.cpp computes something else" in found.absent["llama.cpp"]
    assert "by -1.000" in found.absent["kvpress"]


def test_who_fails_at_a_length_is_left_out_from_there(worker: type[Worker], opened: ExitStack) -> None:
    worker.fails_at = 90
    found = Contestants(model(), opened, 1)
    assert len(found.peers(PEERS, 80)) == 3 and not found.absent
    assert [each.name for each in found.peers(PEERS, 90)] == ["transformers"]
    assert found.absent["kvpress"] == "after 90 tokens: kvpress failed: out of memory"


def test_who_is_not_there_is_told_as_it_is(
    worker: type[Worker], opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise PeerAbsent("not installed: llama_cpp")

    monkeypatch.setattr(contestants, "write_gguf", absent)
    found = Contestants(model(), opened, 1)
    found.peers(PEERS, 80)
    assert found.absent == {"llama.cpp": "not installed: llama_cpp"}


def test_transformers_may_fail_as_well(
    worker: type[Worker], opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Large:
        name = "transformers"

        def __init__(self, *_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(contestants, "HuggingFace", Large)
    found = Contestants(model(), opened, 1)
    assert [each.name for each in found.peers(PEERS, 80)] == ["llama.cpp", "kvpress"]
    assert found.absent == {"transformers": "after 80 tokens: OutOfMemoryError: CUDA out of memory"}


def test_a_length_that_fails_leaves_those_before_it(worker: type[Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_disk_beyond(100, monkeypatch)
    notes: list[str] = []
    options: dict[str, Any] = {"rounds": 1, "peers": PEERS, "profile": False, "note": notes.append}
    found = contest(DECODE, model(), parse("full"), Budget(), [80, 200], **options)
    assert {row.tokens for row in found.rows} == {80} and len(found.rows) == 4
    assert str(found.failure) == "the disk is full" and "failure" not in found.as_dict()
    with pytest.raises(FarspanError, match="the disk is full"):
        contest(DECODE, model(), parse("full"), Budget(), [200], **options)


def test_lengths_that_are_too_long_for_the_others_are_told(worker: type[Worker]) -> None:
    notes: list[str] = []
    options: dict[str, Any] = {"rounds": 1, "peers": PEERS, "profile": False, "note": notes.append}
    found = contest(DECODE, model(), parse("full"), Budget(), [80, 128], **options)
    assert [row.name for row in found.rows if row.tokens == 128] == ["farspan full"]
    assert "the others do not read 128 tokens: --peer-tokens is 100" in notes
