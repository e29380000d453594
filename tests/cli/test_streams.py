"""Standard streams that are closed, and those that nobody reads to their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from farspan.process import open_missing_streams
from farspan.types import Budget
from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel, FakeSession

FARSPAN = f"{sys.executable} -m farspan"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell that begins with farspan."""
    line = command.replace("farspan", FARSPAN, 1)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def test_missing_streams_are_the_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    open_missing_streams()
    with sys.stdin, sys.stdout, sys.stderr:
        assert sys.stdin.read() == ""
        assert sys.stdout.write("unheard") == len("unheard")
        assert sys.stderr.fileno() > 2


def test_closed_streams_end_no_command() -> None:
    done = shell("farspan read --session s <&-")
    assert done.returncode == 3 and "there is nothing to read" in done.stderr
    assert shell("farspan methods show topk >&- 2>&-").returncode == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
def test_names_that_are_not_utf8_are_written(run: Run, model: FakeModel, tmp_path: Path) -> None:
    book = tmp_path / "caf\udce9.txt"
    book.write_text("It was a dark night.")
    session = tmp_path / "caf\udce9"
    assert run("read", book, "--session", session).exit_code == 0
    shown = run("sessions", "show", session, "--json")
    assert json.loads(shown.stdout)["files"][0]["file"] == str(book)
    done = subprocess.run(
        [sys.executable, "-m", "farspan", "sessions", "path", session],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, os.fsencode(session) + b"\n"), done.stderr


def test_an_answer_that_nobody_reads_on_is_closed_before_its_session(
    run: Run, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    def deaf(*_: object, **how: object) -> None:
        if not how.get("err"):
            raise BrokenPipeError(32, "Broken pipe")

    answer = model.session(budget=Budget.parse(None)).ask("what?")
    monkeypatch.setattr(FakeSession, "ask", lambda *_, **__: answer)
    monkeypatch.setattr(FakeSession, "close", lambda _: closed.append("after" if answer.closed else "before"))
    monkeypatch.setattr(click, "echo", deaf)
    result = run("ask", "what?", "-q")
    assert (result.exit_code, result.stderr, closed) == (1, "", ["after"])


def test_what_transformers_says_is_not_for_the_user(tmp_path: Path) -> None:
    done = shell(f"farspan demo --tokens 2K --out {tmp_path} -m farspan-tiny -q")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("farspan doctor")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_closed_early_ends_it_quietly(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The harbour was quiet that morning, and the boats lay still.\n" * 4)
    done = shell(f"farspan 'Continue the quote: \"The harbour\"' -q -f {book} | head -c 3; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (1, ""), os.linesep.join(done.stderr.splitlines()[-5:])
