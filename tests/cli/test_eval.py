"""`farspan eval` with the bundled model: run, kill, go on, score, report, compare, gen, list, loss, heads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from farspan import methods, tasks
from farspan.evals.loss import LossBin
from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel
from tests.cli.test_errors import check

LARGE = "streaming(recent_size=20000)"
SMALL = ["needle(turns=4)", "--method", "full,streaming", "--lengths", "512,1024", "--n", "8", "-q"]


def done(result: Result) -> None:
    """Nothing went wrong."""
    assert result.exit_code == 0, result.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("summary.csv", "summary.json")}


def test_run_writes_rows_summary_and_report(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    result = run("eval", "run", *SMALL, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    full = [cell for cell in shown["cells"] if (cell["context"], cell["method"]) == ("full", "full")]
    assert [cell["length"] for cell in full] == [512, 1024]
    assert all(cell["questions"] >= 8 and cell["contexts"] >= 2 and cell["score"] > 0.8 for cell in full)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "needle" in page and "streaming" in page
    for line in (out / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["context"] == "full":
            taken = row["context_tokens"] + row["prompt_tokens"] + row["max_new_tokens"]
            assert 0.9 * row["length"] <= taken <= row["length"]
            counts = row["counts"]
            assert counts["seen"] == counts["kept"] + counts["stored"] + counts["dropped"]


def test_a_killed_run_goes_on_to_the_same_summary(run: Run, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done(run("eval", "run", *SMALL, "-o", whole))
    command = [sys.executable, "-m", "farspan", "eval", "run", *SMALL, "-o", str(cut)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    rows, deadline = cut / "rows.jsonl", time.monotonic() + 120
    while (not rows.exists() or rows.stat().st_size < 2000) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = rows.read_bytes().count(b"\n")
    done(run("eval", "run", *SMALL, "-o", cut))
    assert 0 < before < rows.read_bytes().count(b"\n")
    assert files(cut) == files(whole)


def test_a_method_that_the_budget_cannot_hold_is_left_out(run: Run, tmp_path: Path) -> None:
    out, need, large = tmp_path / "run", "MiB is the least for 4 first and 20000 recent tokens", LARGE
    asked = ["needle(turns=2)", "--n", "1", "--lengths", "512", "-q"]
    result = run("eval", "run", *asked, "--method", f"{large},full", "--json", "-o", out)
    assert result.exit_code == 1 and need in result.stderr and "left out, since" in result.stderr
    shown = json.loads(result.stdout)
    assert set(shown["refused"]) == {large} and shown["failed"] == 0
    assert {(cell["method"], cell["failed"]) for cell in shown["cells"]} == {("full", 0)}
    assert need in (out / "report.md").read_text(encoding="utf-8")
    none = tmp_path / "none"
    check(
        run("eval", "run", *asked, "--method", "full,topk", "--budget", "64KiB", "-o", none),
        4,
        "none of the 2",
        "64KiB",
    )
    assert not none.exists()


def test_without_a_method_named_all_that_can_run_are_measured(run: Run, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("It was late. The rain had stopped and nobody spoke of it. " * 10)
    result = run("eval", "loss", book, "--tokens", "32", "--budget", "12MiB", "--json", "-q")
    done(result)
    shown = json.loads(result.stdout)
    measured, refused = {one["method"] for one in shown["bins"]}, set(shown["refused"])
    assert measured and refused and measured | refused == set(methods.self_sufficient())
    assert result.stderr.count("is the least") == len(refused)
    assert run("eval", "loss", book, "--tokens", "32", "--method", f"{LARGE},full", "-q").exit_code == 1
    check(run("eval", "loss", book, "--method", LARGE), 4, "is the least")


def test_why_questions_failed_is_told_once_and_binds_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    asked = ["eval", "run", "needle(turns=2)", "--method", "full,streaming", "--n", "2", "--no-baselines", "-o", out]
    result = run(*asked, "--lengths", "16", "-q")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("failed: 4 questions: TooShort: the questions alone") and "ask for a longer length" in line
    told = (out / "report.md").read_text(encoding="utf-8")
    assert "4 questions failed: TooShort" in told
    done(run(*asked, "--lengths", "512", "--seed", "4", "-q"))
    check(run(*asked, "--lengths", "512", "--seed", "5", "-q"), 2, "seed 4, this run with 5")


def test_budgets_stand_in_the_table(run: Run, tmp_path: Path) -> None:
    asked = ["eval", "run", "needle(turns=2)", "--method", "full", "--n", "1", "--lengths", "256", "--no-baselines"]
    done(run(*asked, "--budget", "32MiB", "-q", "-o", tmp_path / "run"))
    result = run(*asked, "--budget", "64MiB", "-q", "-o", tmp_path / "run")
    assert "device=32MiB" in result.stdout and "device=64MiB" in result.stdout


def test_score_report_and_compare(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for out, method in ((one, "full"), (two, "full")):
        arguments = ["needle(turns=4)", "--method", method, "--lengths", "512", "--n", "4", "--no-baselines", "-q"]
        done(run("eval", "run", *arguments, "-o", out))
    before = files(one)
    result = run("eval", "score", one)
    assert result.exit_code == 0 and "0 changed" in result.stderr
    (one / "report.html").unlink()
    done(run("eval", "report", one))
    assert (one / "report.html").exists() and files(one) == before
    (pair,) = json.loads(run("eval", "compare", one, two, "--json").stdout)["comparisons"]
    assert (pair["paired"]["pairs"], pair["paired"]["difference"]) == (4, 0)
    assert "needle" in run("eval", "compare", one, two).stdout
    check(run("eval", "compare", one, tmp_path / "none"), 3, "no results")


def test_runs_in_parts_are_merged(run: Run, tmp_path: Path) -> None:
    parts = [tmp_path / name for name in ("full", "streaming")]
    asked = ["needle(turns=2)", "--lengths", "256", "--n", "2", "--no-baselines", "-q"]
    for part in parts:
        done(run("eval", "run", *asked, "--method", part.name, "-o", part))
    result = run("eval", "merge", *parts, "-o", tmp_path / "all")
    done(result)
    assert result.stderr.splitlines()[-1] == "4 rows of 2 runs"
    done(run("eval", "run", *asked, "--method", "full,streaming", "-o", tmp_path / "once"))
    assert files(tmp_path / "all") == files(tmp_path / "once")
    check(run("eval", "merge", *parts, "-o", tmp_path / "all"), 2, "holds results already")
    check(run("eval", "merge", *parts), 2, "--out")


def test_what_one_run_alone_has_is_told_by_compare(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    asked = ["--n", "1", "--no-baselines", "-q"]
    done(run("eval", "run", "needle(turns=1)", "--method", "full", "--lengths", "256,512", *asked, "-o", one))
    done(run("eval", "run", "needle(turns=1)", "--method", "full,topk", "--lengths", "256", *asked, "-o", two))
    first, second = run("eval", "compare", one, two).stderr.splitlines()
    assert first.endswith(f"{one} alone has it: 512 tokens")
    assert second.endswith(f"{two} alone has it: topk @ device=64MiB")
    assert run("eval", "compare", one, one).stderr == ""


def test_a_stopped_run_says_how_to_go_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("farspan.evals.api.run", stopped)
    result = run("eval", "run", "needle", "--method", "full", "-q", "-o", tmp_path)
    assert result.exit_code == 130 and f"-o {tmp_path} goes on" in result.stderr


def test_gen_writes_samples(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "samples.jsonl"
    done(run("eval", "gen", "niah_multikey_2", "--lengths", "512,1K", "--n", "2", "-o", out))
    samples = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(sample["length"], sample["number"]) for sample in samples] == [(512, 0), (512, 1), (1024, 0), (1024, 1)]
    for sample in samples:
        text = "".join(segment["text"] for segment in sample["segments"])
        assert sample["turns"][0]["answer"].strip() in text
        assert 0.97 * sample["length"] <= sample["tokens"] <= sample["length"]


def test_list_names_every_family(run: Run) -> None:
    listed = json.loads(run("eval", "list", "--json").stdout)
    assert set(listed["tasks"]) == set(tasks.names())
    assert "smoke" in listed["suites"]
    text = run("eval", "list").stdout
    assert "niah_multikey_3" in text and "needle(" in text


def test_loss_and_heads(run: Run, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("It was late. The rain had stopped and nobody spoke of it. " * 60)
    out = tmp_path / "loss.csv"
    arguments = ["--method", "full,streaming", "--tokens", "600", "--bin", "256", "--json", "-q", "-o", out]
    bins = json.loads(run("eval", "loss", book, *arguments).stdout)["bins"]
    ends = [(one["method"], one["start"], one["end"]) for one in bins if one["method"] == "full"]
    assert ends[:2] == [("full", 0, 256), ("full", 256, 512)] and 590 <= ends[2][2] <= 600
    assert [one["loss"] for one in bins[:3]] == pytest.approx([one["loss"] for one in bins[3:]], abs=1e-3)
    assert out.read_text().startswith("method,start,end,loss\n")
    profile = tmp_path / "heads.json"
    shown = run("eval", "heads", "--needles", "2", "--length", "512", "--json", "-o", profile).stdout
    assert json.loads(profile.read_text()) == json.loads(shown)
    heads = json.loads(shown)["heads"]
    method = f"duo_attention(profile='{profile}')"
    assert run("ask", "What had stopped?", "-f", book, "-q", "--method", method, "--max-tokens", "4").stdout
    assert len(heads) == 16 and heads[0]["score"] >= 0.9 and heads[-1]["score"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["needel"], "needle"),
        (["needle", "--lengths", "4MiB"], "--lengths"),
        (["needle", "--method", "nothing"], "nothing"),
        (["needle", "--modes", "together"], "multi_turn"),
        (["needle(needles=)"], "no task"),
        (["needle(turns=0)"], "turns cannot be 0"),
        (["smoke", "ruler"], "2 suites"),
        (["needle", "--tokenizer", "somewhere"], "--endpoint"),
        (["needle", "--endpoint", "http://127.0.0.1:9/v1", "--budget", "1GiB"], "--budget says nothing"),
        (["needle", "--lengths", "0"], "'0' is no number of tokens"),
        (["quotes", "plan(scenario=sea)"], "no scenario 'sea'"),
    ],
)
def test_what_cannot_be_run_is_told(run: Run, tmp_path: Path, arguments: list[str], told: str) -> None:
    check(run("eval", "run", *arguments, "-o", tmp_path / "out"), 2, told)
    assert not (tmp_path / "out").exists()


def test_a_filler_that_holds_no_question_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text("hi\n")
    asked = ["quotes", "--filler", tmp_path / "tiny.txt", "--lengths", "512", "--n", "1", "--method", "full", "-q"]
    result = run("eval", "run", *asked, "-o", tmp_path / "out")
    assert result.exit_code == 1 and "nothing to ask" in result.stderr and "--filler" in result.stderr


@pytest.mark.parametrize("task", ["longbench(path=nowhere)", "documents(path=nowhere)", "babi(path=nowhere)"])
def test_a_task_without_its_file_is_told_at_once(run: Run, tmp_path: Path, task: str) -> None:
    check(run("eval", "run", "needle", task, "-o", tmp_path / "out"), 3, "nowhere")
    assert not (tmp_path / "out").exists()


def test_where_nothing_can_be_written_is_told_at_once(run: Run, model: FakeModel, book: Path) -> None:
    inside = book / "out"
    check(run("eval", "run", "needle", "-o", inside), 2, f"the folder {inside} cannot be made")
    for command in (["gen", "needle"], ["loss", book], ["heads"]):
        check(run("eval", *command, "-o", inside / "file"), 2, f"the folder {inside} cannot be made")
    assert not model.sessions


def test_a_stopped_loss_keeps_the_means_that_it_has(
    run: Run, tmp_path: Path, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_model: object, _pieces: object, method: str, **_: object) -> Iterator[LossBin]:
        yield LossBin(method, 0, 16, 2.5)
        raise KeyboardInterrupt

    monkeypatch.setattr("farspan.evals.loss.loss_curve", stopped)
    out = tmp_path / "loss.csv"
    result = run("eval", "loss", book, "--method", "full,topk", "--json", "-q", "-o", out)
    assert result.exit_code == 130 and "stopped" in result.stderr
    assert json.loads(result.stdout)["bins"] == [{"method": "full", "start": 0, "end": 16, "loss": 2.5}]
    assert out.read_text().splitlines() == ["method,start,end,loss", "full,0,16,2.5"]


def test_loss_reads_what_the_other_commands_read(run: Run, tmp_path: Path, book: Path) -> None:
    asked = ["--method", "full", "--tokens", "64", "-q", "--json"]
    alone, folder = (json.loads(run("eval", "loss", path, *asked).stdout) for path in (book, tmp_path))
    assert folder == alone and alone["bins"]
    check(run("eval", "loss", book, "--bin", "0"), 2, "--bin: '0' is no number of tokens", "--bin 4K")
    check(run("eval", "loss", book, "--tokens", "1"), 2, "--tokens", "2 or more")


@pytest.mark.slow
def test_smoke_covers_every_generated_family(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "smoke"
    result = run("eval", "run", "smoke", "-o", out, "-q", "--json", "--no-baselines", "--n", "1", "--turns", "1")
    assert result.exit_code == 0, result.stdout[-2000:]
    cells = json.loads(result.stdout)["cells"]
    assert {tasks.parse(cell["task"]).family for cell in cells} == {n for n in tasks.names() if not tasks.needs(n)}
    assert {cell["method"] for cell in cells} == {"full", "streaming"}
    assert all(cell["failed"] == 0 for cell in cells)
