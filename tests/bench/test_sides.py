"""The sides that run in other environments, over stand-ins for what is installed there."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from farspan.bench.peers import worker


class Llama:
    """Says what it is asked to do; what it computes comes later, as on a GPU."""

    ctx = "context"

    def __init__(self, path: str, **options: Any) -> None:
        self.n_tokens, self.done, self.options = 0, [], options

    def eval(self, ids: list[int]) -> None:
        self.n_tokens += len(ids)
        self.done.append("begun")


def test_llama_cpp_is_waited_for_before_the_clock_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules,
        "llama_cpp",
        SimpleNamespace(
            __version__="0", Llama=Llama, llama_get_logits_ith=lambda context, at: side._model.done.append("waited")
        ),
    )
    monkeypatch.syspath_prepend(str(worker.__file__).removesuffix("worker.py"))
    monkeypatch.delitem(sys.modules, "llama_cpp_side", raising=False)
    module = importlib.import_module("llama_cpp_side")
    monkeypatch.delitem(sys.modules, "llama_cpp_side")
    side = module.Side()
    side.load("model.gguf", context=64, threads=2, device="cuda")
    assert (side._model.options["n_threads"], side._model.options["n_gpu_layers"]) == (2, -1)
    ended: list[str] = []
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(len(ended.append(side._model.done[-1]) or ended)))
    side.read([1, 2, 3])
    assert side.read_on([4, 5]) == (1.0, 2) and side._model.n_tokens == 3, "what was read on is forgotten"
    assert side.write([6, 7]) == (1.0, 2) and side._model.n_tokens == 5
    assert ended == ["begun", "waited", "waited", "waited"]
