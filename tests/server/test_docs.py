"""Every example of docs/server.md runs against a server, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import ANSWER, QUESTION, filler, running_server

DOCS = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", DOCS, flags=re.DOTALL)


def test_every_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EXAMPLES) >= 5
    (tmp_path / "book.txt").write_text(filler(12), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with running_server(tmp_path) as server:
        for language, example in EXAMPLES:
            command = ["bash", "-ec"] if language == "sh" else [sys.executable, "-c"]
            code = example.replace("http://localhost:8000", server.url)
            done = subprocess.run([*command, code], capture_output=True, text=True, timeout=120, env={**os.environ})
            assert done.returncode == 0, done.stderr
            assert '"error": {' not in done.stdout and '"error":{' not in done.stdout, done.stdout
            if QUESTION in example:
                assert ANSWER in done.stdout, (example, done.stdout)
