"""Run command lines in this process, on a model that is not one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import farspan
from farspan.cli.app import app
from tests.cli.fakes import FakeModel

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("ask", "question", "-f", path)` gives click's Result, with `.stdout`, `.stderr` and `.exit_code`."""

    def call(*arguments: str | Path, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return call


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Put the fake in the place of `farspan.load` and `farspan.open`."""
    fake = FakeModel()
    public: dict[str, Any] = vars(farspan)
    monkeypatch.setitem(public, "load", fake.load)
    monkeypatch.setitem(public, "open", fake.open)
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A small text file."""
    path = tmp_path / "book.txt"
    path.write_text("It was a dark night.\nThe key is 42.\n" * 4)
    return path
