"""bench decode and bench prefill, on a tiny random Llama."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from farspan.bench import ceiling, costs, shapes, speed
from farspan.engine import Model
from tests.bench.random_llama import TINY, fill_the_disk_beyond
from tests.cli.conftest import Run
from tests.cli.test_errors import check


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", TINY)
    monkeypatch.setattr(ceiling, "_BUFFER_BYTES", 1 << 20)
    monkeypatch.setattr(ceiling, "_CPU_EDGES", (64,))


@pytest.mark.parametrize("job", ["decode", "prefill"])
def test_rows_of_all_who_take_part(run: Run, job: str) -> None:
    tokens = ["--tokens", "160,80", "--peer-tokens", "80", "--rounds", "1"]
    result = run("bench", job, "--shape", "tiny", *tokens, "--threads", "1", "--profile", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    rows = [(row["name"], row["tokens"]) for row in report["rows"]]
    assert rows[:2] == [("farspan infllm", 80), ("transformers", 80)] and rows[-1] == ("farspan infllm", 160)
    assert {name for name, _ in rows[2:-1]} | set(report["absent"]) == {"llama.cpp", "kvpress"}
    for row in report["rows"]:
        assert row["ms"] > 0 and row["tokens_per_s"] > 0
        assert all(row[name] >= 0 for name in ("ratio", "growth", "ceiling_ms", "share"))
    settings = report["settings"]
    assert (settings["model"], settings["window"], settings["dtype"], settings["device"]) == (
        "tiny",
        128,
        "float32",
        "cpu",
    )
    assert (settings["method"], settings["budget"], settings["tokens"]) == ("infllm", "unlimited", [160, 80])
    assert (settings["rounds"], settings["sessions"], settings["threads"]) == (1, 1, 1)
    assert set(report["profiles"]) == {"80", "160"} and report["machine"]["bytes_per_s"] > 0
    assert "farspan reads 80 tokens" in result.stderr and "torch" in report["versions"]


def test_alone(run: Run) -> None:
    arguments = ["--shape", "tiny", "--window", "64", "--method", "full", "--tokens", "80", "--rounds", "1"]
    result = run("bench", "prefill", *arguments, "--alone", "--profile", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    head, row, empty, parts, *_ = result.stdout.splitlines()
    assert "tokens/s" in head and row.startswith("farspan full") and not empty
    assert parts.split() == "farspan after 80 ms a token share".split()


def test_a_machine_whose_least_time_is_next_to_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "matmul_rate", lambda *_: 1e15)
    result = run("bench", "prefill", "--shape", "tiny", "--tokens", "80", "--rounds", "1", "--alone", "-q")
    assert result.exit_code == 0, result.stderr
    most = float(result.stdout.splitlines()[1].split()[-2].replace(",", ""))
    assert most > 1e9


def test_sessions_at_once(run: Run) -> None:
    arguments = ["--shape", "tiny", "--window", "64", "--tokens", "80", "--rounds", "1", "--sessions", "3"]
    result = run("bench", "decode", *arguments, "--alone", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[1:3]] == [
        "farspan infllm", "farspan infllm, 3 at once",
    ]  # fmt: skip


def test_who_is_absent_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    result = run("bench", "decode", "--shape", "tiny", "--tokens", "80", "--rounds", "1", "-q")
    assert result.exit_code == 0, result.stderr
    assert "transformers" in result.stdout and "llama.cpp: " in result.stdout


def test_threads_are_those_that_were_asked_for(run: Run) -> None:
    threads = torch.get_num_threads()
    few = ["--shape", "tiny", "--tokens", "80", "--rounds", "1", "--alone", "-q", "--json"]
    try:
        report = json.loads(run("bench", "decode", *few, "--threads", threads + 1).stdout)
        assert report["settings"]["threads"] == torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_a_shape_goes_before_the_model_of_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSPAN_MODEL", "./nowhere")
    few = ["--tokens", "80", "--rounds", "1", "--alone", "-q"]
    assert run("bench", "decode", "--shape", "tiny", *few).exit_code == 0
    check(run("bench", "decode", *few), 3, "./nowhere")


def test_what_was_measured_is_shown_when_it_ends_early(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_the_disk_beyond(100, monkeypatch)
    few = ["--shape", "tiny", "--tokens", "80,160", "--rounds", "1", "--alone", "-q"]
    result = run("bench", "decode", *few)
    assert (result.exit_code, result.stderr) == (4, "error: the disk is full\n")
    assert "farspan infllm" in result.stdout
    result = run("bench", "decode", *few, "--json")
    assert result.exit_code == 4 and len(json.loads(result.stdout)["rows"]) == 1


def test_speeds_before_a_length_that_fails_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def speeds(_model: Model, methods: Any, _budget: str, tokens: int, *, rounds: int) -> Iterator[speed.Speed]:
        if tokens > 64:
            raise KeyboardInterrupt
        figures = dict.fromkeys(("read_per_s", "read_ratio", "written_per_s", "written_ratio"), 2.0)
        yield speed.Speed(method=str(methods[0]), tokens=tokens, kv_bytes=rounds, **figures)

    monkeypatch.setattr(speed, "speeds", speeds)
    result = run("bench", "speed", "--method", "full", "--tokens", "64,128", "--rounds", "2", "--json", "-q")
    report = json.loads(result.stdout)
    assert result.exit_code == 130 and [row["tokens"] for row in report["rows"]] == [64]
    assert (report["dtype"], report["device"], report["rounds"]) == ("float32", "cpu", 2) and report["model"]


def test_what_cannot_be_understood(run: Run) -> None:
    check(run("bench", "decode", "--shape", "tyni"), 2, "did you mean 'tiny'?")
    check(run("bench", "decode", "-m", "farspan-tiny", "--shape", "tiny"), 2, "leave out --shape")
    check(run("bench", "prefill", "--shape", "tiny", "--tokens", "4MiB"), 2, "--tokens")
    check(run("bench", "prefill", "--shape", "tiny", "--window", "8K,9K"), 2, "--window")
    check(run("bench", "decode", "--shape", "tiny", "--method", "xl3m", "--tokens", "80"), 2, "xl3m")
    nowhere = ["--tokens", "80", "--kvpress", "nowhere/python", "-q"]
    check(run("bench", "decode", "--shape", "tiny", *nowhere), 2, "nowhere/python cannot be started")
    check(run("bench", "serve", "--method", "topc"), 2, "topc")
    check(run("bench", "serve", "--budget", "lots"), 4, "lots")
    check(run("bench", "serve", "--memory", "8K"), 2, "8K")
