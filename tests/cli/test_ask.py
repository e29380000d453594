"""`farspan ask` on a fake model: what goes to stdout, what to stderr, what is read and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel


def test_answer_alone_on_stdout(run: Run, model: FakeModel, book: Path) -> None:
    result = run("ask", "what is the key?", "-f", book)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "The key is 42.\n"
    assert "book.txt:2  0.75  'the key is 42'" in result.stderr
    account = result.stderr.splitlines()[-1]
    assert account == "context: topk | seen 36 | kept 8 | stored 28 | fetched 4 | dropped 0 | device 32MiB, disk 1GiB"
    assert model.sessions[0].closed


def test_ask_is_the_default_command(run: Run, model: FakeModel, book: Path) -> None:
    assert run("what is the key?", "-f", book).stdout == "The key is 42.\n"
    assert run("-f", book, "what is the key?").stdout == "The key is 42.\n"
    assert [session.asked[0][0] for session in model.sessions] == ["what is the key?"] * 2


def test_json_is_one_object(run: Run, model: FakeModel, book: Path) -> None:
    result = run("ask", "what?", "-f", book, "--json")
    answer = json.loads(result.stdout)
    assert list(answer) == ["text", "sources", "usage", "context", "timing"]
    assert answer["text"] == "The key is 42."
    assert answer["sources"][0]["line"] == 2
    members = ["method", "seen", "kept", "stored", "fetched", "dropped", "exact", "kv_bytes"]
    assert list(answer["context"]) == members
    assert set(answer["context"]["kv_bytes"]) == {"device", "host", "disk"}
    assert set(answer["timing"]) == {"read_s", "answer_s", "read_tokens_per_s"}


def test_options_reach_the_engine(run: Run, model: FakeModel, book: Path) -> None:
    flags = ["-n", "5", "--temp", "0.5", "--top-p", "0.9", "--seed", "7", "--stop", "a", "--stop", "b"]
    where = ["-m", "folder", "--dtype", "bfloat16", "--device", "cpu", "--budget", "device=64MiB,disk=4GiB"]
    assert run("ask", "what?", "-f", book, "--method", "infllm", *flags, *where).exit_code == 0
    session = model.sessions[0]
    how = {"max_new_tokens": 5, "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["a", "b"]}
    assert session.asked == [("what?", how)]
    assert model.arguments == {"name": "folder", "dtype": "bfloat16", "device": "cpu"}
    assert (str(session.method), str(session.budget)) == ("infllm", "device=64MiB,disk=4GiB")


def test_what_is_to_be_highlighted(run: Run, model: FakeModel, book: Path) -> None:
    assert run("what?", "-f", book, "--method", "pasta", "--highlight", "the key", "--highlight", "42").exit_code == 0
    assert model.sessions[0].asked[0][1]["highlight"] == ["the key", "42"]


def test_options_come_from_the_environment(
    run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_METHOD", "infllm")
    monkeypatch.setenv("FARSPAN_ASK_SEED", "3")
    assert run("ask", "what?", "-f", book).exit_code == 0
    assert str(model.sessions[0].method) == "infllm"
    assert model.sessions[0].asked[0][1]["seed"] == 3


def test_quiet_no_stream_and_usage(run: Run, model: FakeModel, book: Path) -> None:
    assert run("ask", "what?", "-f", book, "-q").stderr == ""
    assert run("ask", "what?", "-f", book, "--no-stream").stdout == "The key is 42.\n"
    assert "completion_tokens 3" in run("ask", "what?", "-f", book, "-u").stderr


def test_a_session_is_read_once(run: Run, model: FakeModel, book: Path) -> None:
    arguments = ["ask", "what?", "-f", str(book), "--session", "thesis"]
    assert run(*arguments).exit_code == 0
    assert run(*arguments).exit_code == 0
    first, second = model.sessions
    assert (len(first.reads), len(second.reads), second.seen) == (1, 0, first.seen)


def test_an_interrupted_file_is_read_on(run: Run, model: FakeModel, tmp_path: Path) -> None:
    slow = tmp_path / "interrupted.txt"
    slow.write_text("word " * 10)
    result = run("ask", "what?", "-f", slow, "--session", "thesis")
    assert result.exit_code == 130
    assert "stopped: session 'thesis' goes on from here" in result.stderr
    run("ask", "what?", "-f", slow, "--session", "thesis")
    assert model.sessions[1].reads == [str(slow)]


def test_ctrl_c_keeps_the_partial_answer(run: Run, model: FakeModel, book: Path) -> None:
    result = run("ask", "interrupt", "-f", book)
    assert (result.exit_code, result.stdout) == (130, "The key \n")
    assert "context: topk" in result.stderr
    answer = run("ask", "interrupt", "-f", book, "--json")
    assert answer.exit_code == 130
    assert json.loads(answer.stdout)["text"] == "The key "
    assert json.loads(answer.stdout)["interrupted"] is True


def test_an_empty_answer_is_said_to_be_empty(run: Run, model: FakeModel, book: Path) -> None:
    for flags in ((), ("--no-stream",)):
        result = run("ask", "nothing", "-f", book, *flags)
        assert result.exit_code == 0 and not result.stdout.strip()
        assert result.stderr.count("note: the model's answer is empty\n") == 1
    assert run("ask", "nothing", "-f", book, "-q").stderr == ""
    assert run("ask", "nothing", "-f", book, "--json").stderr == ""
    assert "empty" not in run("ask", "what?", "-f", book).stderr
    assert "empty" not in run("ask", "interrupt", "-f", book).stderr


def test_several_files_and_folders(run: Run, model: FakeModel, book: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("five facts in a second file")
    run("ask", "what?", "-f", book, "-f", other)
    assert model.sessions[0].reads == [str(book), str(other)]
