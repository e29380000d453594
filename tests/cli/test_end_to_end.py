"""The command line on the bundled model: real answers, real sessions, real failures."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import farspan
from farspan import env, methods, readers
from farspan.attention.native import build, library
from farspan.bench import ceiling
from tests.cli.conftest import Run
from tests.cli.test_errors import check

FACT = "The number of the copper lantern is 48213."
QUESTION = "What is the number of the copper lantern?"
LINE = "The baker followed the quiet road beside the river in the morning. "
BUNDLED = Path(farspan.__file__).parent / "models" / "tiny"


def write_book(path: Path, lines: int) -> Path:
    """A book with the fact on its third line."""
    path.write_text("\n".join([LINE, LINE, FACT] + [f"{LINE}Then came day {day}." for day in range(lines)]))
    return path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A book that fits in the window."""
    return write_book(tmp_path / "short.txt", 20)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A book of some windows."""
    return write_book(tmp_path / "long.txt", 250)


def test_answer_source_and_account(run: Run, short: Path) -> None:
    result = run("ask", QUESTION, "-f", short, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["text"].strip() == "48213"
    top = answer["sources"][0]
    assert top["file"] == str(short) and FACT in top["text"]
    assert short.read_text()[top["start"] : top["end"]] == top["text"]
    context = answer["context"]
    assert context["seen"] == context["kept"] + context["stored"] + context["dropped"]
    assert context["exact"] is True
    assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("method", readers.names())
def test_a_reader_stands_where_a_method_does(run: Run, short: Path, long: Path, method: str) -> None:
    result = run("ask", QUESTION, "-f", short, "--method", method, "--json")
    assert json.loads(result.stdout)["text"].strip() == "48213"
    result = run("ask", QUESTION, "-f", long, "--method", method, "--json", "-n", "8")
    if method == "read_twice":
        check(result, 3, "read_twice needs the whole text")
        return
    answer = json.loads(result.stdout)
    assert answer["context"]["method"] == method
    assert answer["context"]["stored"] > answer["context"]["kept"] > 0
    lines = f"{QUESTION}\n/sources\n/status\n/fork copied\n"
    talk = run("chat", "-f", short, "--method", method, "-n", "8", "--session", "kept", stdin=lines)
    assert "48213" in talk.stdout and FACT in talk.stderr and "stored" in talk.stderr
    for name in ("kept", "copied"):
        assert "48213" in run("ask", QUESTION, "--session", name).stdout
        assert f"method: {method}" in run("sessions", "show", name).stdout
    check(run("ask", QUESTION, "--session", "kept", "--method", "topk"), 3, f"begun with --method '{method}'")


def test_where_nothing_is_asked_a_reader_is_refused(run: Run, short: Path) -> None:
    check(run("bench", "memory", "--method", "xl3m", "--tokens", "1K"), 2, "xl3m runs no model until it is asked")
    check(run("eval", "loss", short, "--method", "full,xl3m"), 2, "xl3m runs no model until it is asked")


def test_text_and_whole_output_agree(run: Run, short: Path) -> None:
    streamed, whole = run(QUESTION, "-f", short), run(QUESTION, "-f", short, "--no-stream")
    assert streamed.stdout == whole.stdout
    assert "short.txt:" in streamed.stderr and "context: topk | seen" in streamed.stderr


def test_beyond_the_window(run: Run, long: Path) -> None:
    answer = json.loads(run("ask", QUESTION, "-f", long, "--budget", "32MiB", "--json").stdout)
    assert answer["context"]["seen"] > 2 * farspan.load().window
    assert answer["context"]["stored"] > 0
    assert answer["context"]["kv_bytes"]["device"] <= 32 << 20
    assert answer["text"].strip() == "48213"


@pytest.mark.parametrize("name", methods.self_sufficient())
def test_every_method_answers(run: Run, short: Path, name: str) -> None:
    result = run("ask", QUESTION, "-f", short, "--method", name, "-n", "4")
    assert result.exit_code == 0 and f"context: {name} | seen" in result.stderr


def test_a_session_answers_again_without_reading(run: Run, short: Path, tmp_path: Path) -> None:
    assert run("read", short, "--session", "kept").exit_code == 0
    first, second = (json.loads(run("ask", QUESTION, "--session", "kept", "--json").stdout) for _ in range(2))
    assert first["text"] == second["text"] and first["timing"]["read_tokens_per_s"] == 0
    other = tmp_path / "other.txt"
    other.write_text("The number of the odd beach is 46941.")
    question = "What is the number of the odd beach?"
    third = json.loads(run("ask", question, "-f", short, "-f", other, "--session", "kept", "--json").stdout)
    assert third["sources"][0]["file"] == str(other)
    assert [file["complete"] for file in session_record("kept")["files"]] == [True, True]


def test_chat_keeps_its_session(run: Run, short: Path) -> None:
    result = run("chat", "-f", short, "--session", "talk", stdin=f"{QUESTION}\n/status\n")
    assert result.exit_code == 0, result.stderr
    seen = session_record("talk")["counts"]["seen"]
    run("chat", "--session", "talk", stdin=f"{QUESTION}\n")
    assert session_record("talk")["counts"]["seen"] > seen


def session_record(name: str) -> dict[str, Any]:
    """What a session's record says."""
    record: dict[str, Any] = json.loads((env.sessions_folder() / name / "session.json").read_text())
    return record


def start_reading(book: Path, name: str) -> subprocess.Popen[str]:
    """Begin to read in a process of its own, and wait until something is committed."""
    command = [sys.executable, "-m", "farspan", "read", str(book), "--session", name]
    # a shell's background jobs hand an ignored SIGINT on to their children
    listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    record = env.sessions_folder() / name / "session.json"
    while process.poll() is None:
        if record.exists() and session_record(name)["counts"]["seen"] > 0:
            break
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_read_goes_on(run: Run, long: Path, how: signal.Signals) -> None:
    process = start_reading(long, "stopped")
    process.send_signal(how)
    _, stderr = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130 and "goes on from here" in stderr
    assert not session_record("stopped")["files"][0]["complete"]
    assert run("read", long, "--session", "stopped").exit_code == 0
    assert run("read", long, "--session", "whole").exit_code == 0
    stopped, whole = (
        json.loads(run("ask", QUESTION, "--session", name, "--json").stdout) for name in ("stopped", "whole")
    )
    assert stopped["text"] == whole["text"]
    assert stopped["context"] == whole["context"]


def test_folder_without_weights(run: Run, short: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    check(run("ask", QUESTION, "-f", short, "-m", folder), 3, "no weights")
    check(run("ask", QUESTION, "-f", short, "-m", "./nowhere"), 3, "./nowhere")


def test_budget_below_one_chunk(run: Run, short: Path) -> None:
    check(run("ask", QUESTION, "-f", short, "--budget", "64KiB"), 4)


def test_full_disk_tier_loses_nothing(run: Run, long: Path) -> None:
    check(run("read", long, "--session", "full", "--budget", "device=16MiB,disk=1MiB", "-q"), 4)
    counts = session_record("full")["counts"]
    assert counts["seen"] == counts["kept"] + counts["stored"] + counts["dropped"] > 0
    assert run("ask", QUESTION, "--session", "full", "-n", "4").exit_code in (0, 4)


def test_truncated_session(run: Run, short: Path) -> None:
    run("read", short, "--session", "cut")
    (state,) = (env.sessions_folder() / "cut").glob("state-*.safetensors")
    state.write_bytes(state.read_bytes()[:1000])
    check(run("ask", QUESTION, "--session", "cut"), 3, "damaged")


def test_session_of_another_model(run: Run, short: Path, tmp_path: Path) -> None:
    run("read", short, "--session", "mine")
    other = other_model(tmp_path / "other")
    check(run("ask", QUESTION, "--session", "mine", "-m", other), 3)


def other_model(folder: Path) -> Path:
    """A model of the same shape with other weights."""
    import torch

    model = farspan.load()
    weights = model.hosted.model
    with torch.no_grad():
        weights.get_input_embeddings().weight.add_(1.0)
    weights.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def test_bench_memory(run: Run) -> None:
    arguments = ["--method", "streaming", "--budget", "16MiB", "--tokens", "1K,2K", "--json", "-q"]
    result = run("bench", "memory", *arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [row["tokens"] for row in report["rows"]] == [1024, 2048]
    assert all(row["peak_bytes"] > 0 and row["tokens_per_s"] > 0 for row in report["rows"])
    for row in report["rows"]:
        assert abs(row["context"]["seen"] - row["tokens"]) < 0.02 * row["tokens"]
    assert report["method"] == "streaming" and "torch" in report["versions"]


def test_bench_speed(run: Run) -> None:
    arguments = ["--method", "topk,streaming", "--budget", "16MiB", "--tokens", "64,128", "--rounds", "1"]
    result = run("bench", "speed", *arguments, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [(row["method"], row["tokens"]) for row in report["rows"]] == [
        (method, tokens) for tokens in (64, 128) for method in ("topk", "streaming")
    ]
    for row in report["rows"]:
        assert all(row[kind + of] > 0 for kind in ("read_", "written_") for of in ("per_s", "ratio"))
    check(run("bench", "speed", "--method", "xl3m", "--tokens", "1K"), 2, "xl3m")
    large = "streaming(recent_size=20000)"
    result = run(
        "bench", "speed", "--method", f"{large},topk", *arguments[2:4], "--tokens", "64", "--rounds", "1", "-q"
    )
    assert result.exit_code == 1 and f"left out: {large}: a budget of 16MiB" in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["method", "topk"]


def test_bench_kernel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "_BUFFER_BYTES", 1 << 20)
    few = ("bench", "kernel", "--keys", 500, "--heads", 4, "--kv-heads", 2, "--width", 16, "--rounds", 1)
    report = json.loads(run(*few, "--json").stdout)
    assert (report["keys"], report["kernels"]) == (500, "native" if build.compilers() else "torch")
    assert {row["dtype"] for row in report["rows"]} == {"float32", "bfloat16"}
    assert all(row["bandwidth_share"] > 0 and row["vs_sdpa"] > 0 for row in report["rows"])
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    result = run(*few)
    assert "times SDPA" in result.stdout and "FARSPAN_KERNELS is torch" in result.stderr
    check(run("bench", "kernel", "--heads", 3, "--kv-heads", 2), 2, "multiple of --kv-heads")
    check(run("bench", "kernel", "--keys", "1K,2K"), 2, "--keys")
    check(run("bench", "kernel", "--device", "meto"), 2, "device 'meto' is unknown")


def test_bench_passes_on_what_went_wrong(run: Run) -> None:
    check(run("bench", "memory", "--budget", "64KiB", "--tokens", "1K", "-q"), 4)


def test_demo(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--tokens", "4K", "--out", tmp_path / "demo", "-q")
    assert result.exit_code == 0, result.stderr
    assert "of 5 right" in result.stdout and "full attention on the first question" in result.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"book.txt", "memory.svg", "memory.csv"}


def test_doctor(run: Run) -> None:
    report = json.loads(run("doctor", "--json").stdout)
    assert report["ok"] is True and report["torch"] and report["free_memory"]


def test_doctor_says_which_kernels_are_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(run("doctor", "--json").stdout)["kernels"].startswith(("native (", "torch (there is no"))
    monkeypatch.setattr(library, "load", lambda: "there is no C compiler: install gcc or clang")
    assert "kernels: torch (there is no C compiler: install gcc or clang)" in run("doctor").stdout
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    said = run("doctor").stdout
    assert "\nkernels: torch (FARSPAN_KERNELS is torch)" in said
    assert "\ngpu kernels: torch (FARSPAN_KERNELS is torch)" in said
    monkeypatch.setenv("FARSPAN_KERNELS", "nativ")
    check(run("doctor"), 2, "did you mean 'native'")


def test_kernels_that_are_not_known_are_no_fault_of_the_model(
    run: Run, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", "nativ")
    check(run("ask", QUESTION, "-f", short), 2, "FARSPAN_KERNELS is 'nativ'", "did you mean 'native'")


def test_models(run: Run, tmp_path: Path) -> None:
    listed = json.loads(run("models", "--json").stdout)["models"]
    assert listed[0]["name"] == "farspan-tiny" and listed[0]["hosted"] is True
    shown = json.loads(run("models", "show", "--json").stdout)
    model = farspan.load()
    assert (shown["window"], shown["kv_bytes_per_token"]) == (model.window, model.kv_bytes_per_token)


def test_models_that_cannot_be_hosted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    check(run("models", "show", tmp_path), 3, "cannot host")
    check(run("models", "show", "./nowhere"), 3, "there is no model folder './nowhere'")
    check(run("models", "show", tmp_path / "nowhere"), 3, "there is no model folder")
    (tmp_path / "config.json").write_text("{broken")
    check(run("models", "show", tmp_path), 3, "cannot load the configuration", "fetch or save it again")
    (tmp_path / "config.json").unlink()
    check(run("models", "show", tmp_path), 3, "has no config.json")
