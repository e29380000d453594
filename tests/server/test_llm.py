"""simonw's llm as a client: a model of its extra-openai-models.yaml, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.conftest import ANSWER, QUESTION, Running, filler

pytest.importorskip("llm")
MODELS = """
- model_id: farspan
  model_name: farspan-tiny
  api_base: {url}/v1
  api_key_name: farspan
"""


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["streamed", "whole"])
def test_llm_answers_from_a_text_longer_than_the_window(server: Running, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(url=server.url))
    (tmp_path / "keys.json").write_text('{"farspan": "none"}')
    (tmp_path / "shore.txt").write_text(filler(30))
    done = subprocess.run(
        [sys.executable, "-m", "llm", "-m", "farspan", "-f", str(tmp_path / "shore.txt"), QUESTION, *options],
        env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ANSWER
