"""Every example of docs/server.md, and what the README says of serving, runs against a server, in order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import ANSWER, BUDGET, QUESTION, Running, filler

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", DOCS, flags=re.DOTALL)
SERVING = re.search(r"```bash\nfarspan serve(.*?)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)


def test_every_example_runs(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EXAMPLES) >= 5
    (tmp_path / "book.txt").write_text(filler(12), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for language, example in EXAMPLES:
        run(server.url, ["bash", "-ec"] if language == "sh" else [sys.executable, "-c"], example)


def test_the_readme_serves(server: Running) -> None:
    assert SERVING is not None
    assert SERVING[1].split() == ["--budget", BUDGET]
    run(server.url, ["bash", "-ec"], SERVING[2])


def run(url: str, command: list[str], example: str) -> None:
    """Run an example against the server at this address."""
    code = example.replace("http://localhost:8000", url)
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert '"error":' not in done.stdout.replace('"error":null', "").replace(" ", ""), done.stdout
    if QUESTION in example:
        assert ANSWER in done.stdout, (example, done.stdout)
