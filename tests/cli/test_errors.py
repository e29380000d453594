"""Bad input: one message that says what and one that says what to do, and the documented exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import Result

import farspan
import farspan.recipes
from farspan.cli.explain import explain
from farspan.errors import StorageFull
from farspan.folders import hold
from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel, FakeSession


def check(result: Result, code: int, *words: str) -> None:
    """The error and its fix are one line each; there is no traceback; stdout is empty."""
    assert result.exit_code == code, (result.stdout, result.stderr)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("stopped")]
    assert lines[0].startswith("error: ") and lines[1].startswith("fix: "), lines
    assert len(lines) == 2 and result.stdout == ""
    for word in words:
        assert word in result.stderr


def test_missing_file(run: Run, model: FakeModel) -> None:
    check(run("ask", "what?", "-f", "nowhere.txt"), 3, "nowhere.txt does not exist")
    assert not model.sessions


def test_a_link_to_nothing(run: Run, model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("gone.txt")
    check(run("ask", "what?", "-f", tmp_path / "link.txt"), 3, "link.txt is a link to gone.txt")


def test_a_file_without_a_name(run: Run, model: FakeModel) -> None:
    check(run("ask", "what?", "-f", ""), 3, "the name of a file is empty")
    assert not model.sessions


def test_empty_file(run: Run, model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    check(run("ask", "what?", "-f", tmp_path / "empty.txt"), 3, "empty.txt", "empty")
    assert not model.sessions


def test_binary_file(run: Run, model: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 8)
    check(run("ask", "what?", "-f", tmp_path / "noise.bin"), 3, "noise.bin")
    assert not model.sessions


def test_unknown_method_names_the_nearest(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask", "what?", "-f", book, "--method", "inflm"), 2, "'infllm'")
    check(run("ask", "what?", "-f", book, "--method", "infllm(topk=4)"), 2, "top_k")


@pytest.mark.parametrize("budget", ["many", "tape=3MiB", "device="])
def test_budget_that_is_no_size(run: Run, model: FakeModel, book: Path, budget: str) -> None:
    check(run("ask", "what?", "-f", book, "--budget", budget), 4, "32MiB" if "=" in budget else "512MiB")


def test_budget_below_one_chunk(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask", "what?", "-f", book, "--budget", "1B"), 4, "below one chunk")


def test_session_that_is_truncated(run: Run, model: FakeModel, book: Path) -> None:
    run("read", book, "--session", "thesis")
    record = farspan.env.sessions_folder() / "thesis" / "session.json"
    record.write_text(record.read_text()[:20])
    check(run("ask", "what?", "--session", "thesis"), 3, "truncated")
    check(run("sessions", "show", "thesis"), 3, "cannot be read")
    assert "unreadable" in run("sessions").stdout


def test_session_keeps_its_method_budget_and_dtype(run: Run, model: FakeModel, book: Path) -> None:
    run("read", book, "--session", "thesis", "--method", "infllm")
    check(run("ask", "what?", "--session", "thesis", "--method", "topk"), 3, "--method 'infllm'")
    check(run("ask", "what?", "--session", "thesis", "--budget", "1MiB"), 3, "--budget")
    check(run("ask", "what?", "--session", "thesis", "--dtype", "bfloat16"), 3, "--dtype 'float32'")
    assert all(session.closed for session in model.sessions)
    assert run("ask", "what?", "--session", "thesis", "--device", "cpu:0", "-m", "elsewhere").exit_code == 0
    assert model.arguments == {"name": "elsewhere", "device": "cpu:0"}
    assert run("ask", "what?", "--session", "thesis", "--method", "infllm").exit_code == 0


def test_session_names(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask", "what?", "--session", ".."), 2, "cannot name a session")
    check(run("ask", "what?", "--session", "long" * 75), 2, "300 bytes", "thesis")
    check(run("sessions", "show", "nothing"), 3, "no session 'nothing'")


def test_a_question_begins_no_session_without_a_text(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask", "what?", "--session", "thesis"), 3, "no session 'thesis'", "farspan read")
    run("read", book, "--session", "thesis")
    check(run("ask", "what?", "--session", "tesis"), 3, "did you mean 'thesis'?")
    assert [folder.name for folder in farspan.env.sessions_folder().iterdir()] == ["thesis"]


def test_a_session_in_use_is_not_removed(run: Run, model: FakeModel, book: Path) -> None:
    run("read", book, "--session", "thesis")
    folder = farspan.env.sessions_folder() / "thesis"
    lock = hold(folder)
    assert lock is not None
    check(run("sessions", "rm", "thesis"), 3, "in use")
    os.close(lock)
    assert run("sessions", "rm", "thesis").exit_code == 0 and not folder.exists()


def test_a_record_that_is_none_spoils_no_list(run: Run, model: FakeModel, book: Path) -> None:
    for name in ("thesis", "other"):
        run("read", book, "--session", name)
    (farspan.env.sessions_folder() / "other" / "session.json").write_text("[]")
    listed = run("sessions")
    assert listed.exit_code == 0 and "unreadable" in listed.stdout and "thesis" in listed.stdout


def test_storage_full(run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FakeSession, source: object, progress: object = None) -> None:
        raise StorageFull("the disk tier is full: 4GiB of 4GiB", fix="give it more: disk=8GiB")

    monkeypatch.setattr(FakeSession, "read", full)
    check(run("read", book, "--session", "thesis"), 4, "disk tier is full")


def test_disk_full_by_the_system(run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FakeSession, source: object, progress: object = None) -> None:
        raise OSError(28, "No space left on device", "/scratch/kv.bin")

    monkeypatch.setattr(FakeSession, "read", full)
    check(run("read", book, "--session", "thesis"), 4, "/scratch/kv.bin")


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, 4, "no space left on device"),
        (errno.EFBIG, 4, "ulimit -f"),
        (errno.EROFS, 3, "read-only file system"),
        (errno.EACCES, 3, "permission denied"),
        (errno.ENOENT, 3, "check the path"),
        (errno.ENAMETOOLONG, 2, "shorter name"),
        (errno.EMFILE, 1, "ulimit -n"),
        (errno.EPROTO, 1, "--debug"),
    ],
)
def test_what_the_system_refuses(
    run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int, words: str
) -> None:
    def refuse(self: FakeSession, source: object, progress: object = None) -> None:
        raise OSError(number, os.strerror(number), "/kept/kv.bin")

    monkeypatch.setattr(FakeSession, "read", refuse)
    check(run("read", book, "--session", "thesis"), code, "/kept/kv.bin", words)


def test_what_the_system_refuses_to_a_library_in_rust() -> None:
    refused = explain(ValueError("Error while serializing: I/O error: File too large (os error 27)"))
    assert refused == explain(OSError(27, "File too large"))


def test_the_end_of_a_file_in_the_midst_is_no_wish_to_stop(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise EOFError("ran out of input")

    monkeypatch.setattr(farspan.recipes, "run", broken)
    result = run("train", "tiny", "-o", "x")
    assert (result.exit_code, result.stderr.splitlines()[-2]) == (1, "error: EOFError: ran out of input")


def test_a_folder_that_cannot_be_made(run: Run, model: FakeModel, book: Path) -> None:
    check(run("demo", "--out", book / "below", "-q"), 3, str(book / "below"), "not a directory")


def test_words_that_are_not_utf8(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask", "caf\udce9", "-f", book), 2, "QUESTION is not UTF-8", "0xe9", "'caf'")
    check(run("what?", "--stop", "caf\udce9", "-f", book), 2, "--stop is not UTF-8")
    check(run("what?", "--highlight", "caf\udce9", "-f", book), 2, "--highlight is not UTF-8")
    assert not model.sessions


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--device", "nosuch", "device 'nosuch' is unknown"),
        ("--device", "cuda:99", "device 'cuda:99' cannot be used"),
        ("--temp", "nan", "temperature=nan"),
        ("--temp", "inf", "temperature=inf"),
        ("--top-p", "nan", "top_p=nan"),
        ("--seed", "9" * 20, "more than 64 bits"),
    ],
)
def test_numbers_and_devices_that_cannot_be(
    run: Run, model: FakeModel, book: Path, option: str, value: str, words: str
) -> None:
    for command in (["ask", "what?"], ["chat"]):
        check(run(*command, "-f", book, option, value), 2, words)
    assert not model.sessions


def test_usage(run: Run, model: FakeModel, book: Path) -> None:
    check(run("ask"), 2, "QUESTION", "farspan ask --help")
    check(run("ask", "what?", "--metod", "infllm"), 2, "--method")
    check(run("read", book), 2, "--session")
    check(run("chat", "--json"), 2, "--json")
    check(run("train", "tiny"), 2, "--out")
    check(run("train", "tiny", "--out", "x", "--set", "steps"), 2, "hours=0.5")
    check(run("bench", "memory", "--tokens", "4MiB"), 2, "64K,256K,1M")
    check(run("bench", "memory", "--tokens", "lots"), 2, "lots")
    check(run("methods", "infllm"), 2, "known: list, show")
    check(run("read"), 2)


def test_a_file_in_the_place_of_a_question(run: Run, model: FakeModel, book: Path) -> None:
    check(run(book), 2, f"{book} is a file", f"farspan 'your question' -f {book}")
    check(run("who is it?", book, book), 2, f"{book} is a file", f"farspan 'who is it?' -f {book} -f {book}")
    check(run("who", "is", "it?", book, "-f", book), 2, f"farspan 'who is it?' -f {book}")
    assert not model.sessions


def test_a_question_without_quotes(run: Run, model: FakeModel, book: Path) -> None:
    check(run("who", "is", "it?", "-f", book), 2, "3 parts", "farspan 'who is it?'")
    assert not model.sessions


def test_a_slip_in_a_command_is_no_question(run: Run, model: FakeModel) -> None:
    check(run("dotcor"), 2, "did you mean 'doctor'?", "farspan ask 'dotcor'")
    check(run("Sesions"), 2, "did you mean 'sessions'?")
    check(run("reads", "book.txt", "--session", "s"), 2, "did you mean 'read'?")
    assert run("reads", "-n", "3").exit_code == 0


def test_nothing_to_read(run: Run, model: FakeModel) -> None:
    check(run("read", "--session", "thesis"), 3, "nothing to read")


def test_an_unexpected_error_points_to_debug(
    run: Run, model: FakeModel, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: FakeSession, question: str, **how: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(FakeSession, "ask", crash)
    result = run("ask", "what?", "-q", "-f", book)
    check(result, 1, "RuntimeError: shapes differ", "--debug")
    assert "Traceback" in run("ask", "what?", "-f", book, "--debug").stderr
