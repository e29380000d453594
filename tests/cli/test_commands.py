"""read, chat, sessions, methods, train and the progress lines, on a fake model."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farspan import env, telling
from farspan.cli import progress
from farspan.cli.app import app
from farspan.cli.progress import PlainLines, describe
from farspan.types import Counts, Progress
from tests.cli.conftest import Run
from tests.cli.fakes import FakeAnswer, FakeModel, FakeSession


def test_read_keeps_a_session(run: Run, model: FakeModel, book: Path) -> None:
    result = run("read", book, "--session", "thesis")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "read 36 tokens" in result.stderr and "context: topk | seen 36" in result.stderr
    book.touch()
    report = json.loads(run("read", book, "--session", "thesis", "--json").stdout)
    assert report["context"]["seen"] == 36
    assert report["timing"]["read_tokens_per_s"] == 0


def test_a_file_that_is_reached_twice_is_read_once(run: Run, model: FakeModel, book: Path, tmp_path: Path) -> None:
    assert run("read", book, book, "--session", "thesis").exit_code == 0
    assert model.sessions[-1].reads == [str(book)]
    (tmp_path / "notes").mkdir()
    note = book.rename(tmp_path / "notes" / "a.md")
    (tmp_path / "notes" / "the_same.md").symlink_to(note)
    assert run("ask", "what?", "-f", note.parent, "-f", note).exit_code == 0
    assert model.sessions[-1].reads == [str(note)]


def test_help_and_version_are_no_questions(run: Run, model: FakeModel) -> None:
    assert run("help").stdout == run("--help").stdout
    assert run("version").stdout == run("--version").stdout
    assert run("help", "eval", "run").stdout == run("eval", "run", "--help").stdout
    assert not model.sessions
    assert run("help", "-n", "3").exit_code == 0
    assert model.sessions[0].asked[0][0] == "help"


def test_sessions(run: Run, model: FakeModel, book: Path) -> None:
    run("read", book, "--session", "thesis")
    assert "thesis" in run("sessions").stdout
    assert json.loads(run("sessions", "--json").stdout)["sessions"][0]["counts"]["seen"] == 36
    shown = run("sessions", "show", "thesis").stdout
    assert f"file: {book}" in shown and "seen 36" in shown
    folder = env.sessions_folder() / "thesis"
    assert run("sessions", "path", "thesis").stdout.strip() == str(folder)
    assert run("sessions", "rm", "thesis").exit_code == 0
    assert not folder.exists()


def test_a_session_can_be_a_folder(run: Run, model: FakeModel, book: Path, tmp_path: Path) -> None:
    run("read", book, "--session", str(tmp_path / "kept"))
    assert (tmp_path / "kept" / "session.json").exists()
    assert "seen 36" in run("sessions", "show", str(tmp_path / "kept")).stdout


def test_chat(run: Run, model: FakeModel, book: Path, tmp_path: Path) -> None:
    lines = [
        "what is the key?",
        "/sources",
        "/status",
        f"/read {book}",
        f"/save {tmp_path / 'saved'}",
        "/fork copy",
        "/fork",
        "/nonsense",
        "/help",
        "/quit",
        "never asked",
    ]
    result = run("chat", "-f", book, stdin="\n".join(lines))
    assert result.exit_code == 0
    assert result.stdout == "The key is 42.\n"
    assert "book.txt:2" in result.stderr and "context: topk" in result.stderr
    assert "error: /fork needs a name" in result.stderr and "no command /nonsense" in result.stderr
    assert (tmp_path / "saved" / "session.json").exists()
    assert (env.sessions_folder() / "copy" / "session.json").exists()
    assert [question for question, _ in model.sessions[0].asked] == ["what is the key?"]


def test_chat_goes_on_after_ctrl_c(run: Run, model: FakeModel) -> None:
    result = run("chat", stdin="interrupt\nwhat?\n")
    assert (result.exit_code, result.stdout) == (0, "The key \nThe key is 42.\n")


def test_an_error_ends_a_turn_never_the_chat(
    run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(self: FakeSession, question: str, **how: object) -> FakeAnswer:
        if question != "what?":
            raise RuntimeError("shapes differ")
        return FakeAnswer(["42."], [], self.counts)

    monkeypatch.setattr(FakeSession, "chat", ask)
    result = run("chat", stdin=f"/save {book / 'below'}\ncrash\nwhat?\n")
    assert (result.exit_code, result.stdout) == (0, "42.\n")
    assert f"error: {book / 'below'}: not a directory" in result.stderr
    assert "error: RuntimeError: shapes differ" in result.stderr
    assert "Traceback" in run("chat", "--debug", stdin="crash\n").stderr


def test_a_message_that_is_not_utf8_ends_a_turn(run: Run, model: FakeModel) -> None:
    result = CliRunner().invoke(app, ["chat"], input=b"caf\xe9\nwhat?\n")
    assert (result.exit_code, result.stdout) == (0, "The key is 42.\n" * 2)
    assert [question for question, _ in model.sessions[0].asked] == ["caf\udce9", "what?"]


def test_chat_reads_below_the_home_folder(
    run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(book.parent))
    assert run("chat", stdin="/read ~/book.txt").stderr.count("error") == 0
    assert model.sessions[0].reads == [str(book)]


def test_chat_tells_of_no_json(run: Run) -> None:
    assert "--json" in run("ask", "--help").stdout
    assert "--json" not in run("chat", "--help").stdout


def test_train_hands_over_its_settings(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[Any] = []
    from transformers.utils import logging

    from farspan import recipes

    logging.enable_progress_bar()
    monkeypatch.setitem(vars(recipes), "run", lambda name, **how: calls.append((name, how)))
    assert run("train", "tiny", "--out", tmp_path, "--set", "hours=2").exit_code == 0
    name, how = calls[0]
    assert (name, how["out"], how["overrides"]) == ("tiny", tmp_path, {"hours": "2"})
    assert not logging.is_progress_bar_enabled()  # saving a model draws none


def progress_of(tokens: int, total: int | None) -> Progress:
    return Progress(file="a.txt", tokens=tokens, chars=tokens, total_chars=total, seconds=2.0, counts=Counts(kept=8))


def test_plain_progress_is_a_line_in_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = PlainLines(clock=lambda: now)
    for second in range(12):
        now = float(second)
        lines(progress_of(1000 * second, 20_000))
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2
    assert shown[0] == "reading a.txt: 5,000 tokens (25%), kept 8, 2,500 tokens/s, 6 s left"
    assert describe(progress_of(10, None)) == "10 tokens, kept 8, 5 tokens/s"


def test_what_tells_no_progress_tells_its_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.waiting(False, "reading the question"):
        pass
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    with progress.waiting(True, "reading the question"):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""
    with progress.waiting(False, "reading the question"):
        time.sleep(0.05)
    assert capsys.readouterr().err == "reading the question: 0 s\n"


def test_a_long_question_is_told_to_be_read(run: Run, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", 0.0)
    ask = FakeSession.ask
    monkeypatch.setattr(FakeSession, "ask", lambda *a, **how: time.sleep(0.05) or ask(*a, **how))
    monkeypatch.setattr(FakeSession, "chat", FakeSession.ask)
    assert "reading the question: 0 s" in run("what?").stderr
    assert "reading the message: 0 s" in run("chat", stdin="what?\n").stderr


def test_account_names_the_tiers_in_use() -> None:
    counts = Counts(seen=3, kept=3, kv_bytes={"device": 0, "host": 0, "disk": 0})
    assert telling.account("full", counts).endswith("dropped 0 | device 0B | exact")


def test_quotes_stand_on_one_line() -> None:
    assert telling.one_line("a\n  b\tc") == "a b c"
    assert len(telling.one_line("word " * 100)) == telling.QUOTE_WIDTH
