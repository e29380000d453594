"""Everything that the README tells the user to type works, on a small book; the generated pages are current."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from farspan.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FACT = "The number of the copper lantern is 48213."
QUOTE = "On the first day the harbour was quiet that morning, and the old boats lay still beside the wall."


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def reading_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the README speaks of."""
    filler = "The baker followed the quiet road beside the river in the morning."
    (tmp_path / "book.txt").write_text("\n".join([filler] * 5 + [QUOTE] + [filler] * 5 + [FACT] + [filler] * 5))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "day.md").write_text("# A day\n\nThe clerk sold the grey clock at noon.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str) -> str:
    """Run one command of a block in this process: `farspan ...`, or `cat FILE | farspan ...`; return its stdout."""
    words = shlex.split(line)
    stdin = None
    if words[0] == "cat":
        stdin = Path(words[1]).read_text(encoding="utf-8")
        assert words[2] == "|"
        words = [*words[3:], "-f", "-"]
    assert words[0] == "farspan"
    result = CliRunner().invoke(app, words[1:], input=stdin)
    assert result.exit_code == 0, f"{line}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_shell_commands(reading_room: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]
    assert len(lines) >= 8
    for line in lines:
        stdout = run_line(line)
        if "copper lantern" in line:
            assert "48213" in stdout, line
        if "Continue the quote" in line:
            assert stdout.strip().startswith("old boats lay still"), line


def test_python(reading_room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "48213" in shown and "book.txt" in shown
    assert (reading_room / "harbour").is_dir()


def test_make_targets_exist() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make\s+(\w+)`", README)):
        assert re.search(rf"^{target}:", rules, flags=re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_generated_pages_are_current() -> None:
    script = ROOT / "scripts" / "make_docs.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
