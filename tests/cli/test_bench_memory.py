"""bench memory: how what was measured is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farspan.cli.commands.bench import memory
from farspan.errors import FarspanError
from tests.cli.conftest import Run


def row(tokens: int = 1024, **values: Any) -> dict[str, Any]:
    """What `farspan.bench.memory` writes."""
    usual = {
        "tokens": tokens,
        "peak_bytes": 3 << 20,
        "peak_is_of_reading": True,
        "loaded_bytes": 2 << 20,
        "device_peak_bytes": None,
        "device_loaded_bytes": None,
        "tokens_per_s": 50.0,
        "context": {"kv_bytes": {"device": 4 << 20, "host": 0, "disk": 5 << 20}},
    }
    return usual | values


def test_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_measured", lambda settings: row(settings["tokens"]))
    result = run("bench", "memory", "--tokens", "1K")
    assert result.stdout.splitlines()[1].split() == ["1K", "3MiB", "2MiB", "4MiB", "5MiB", "50"]
    assert "GPU" not in result.stdout and "note:" not in result.stderr
    on_gpu = {"device_peak_bytes": 9 << 20, "device_loaded_bytes": 8 << 20, "peak_is_of_reading": False}
    monkeypatch.setattr(memory, "_measured", lambda settings: row(settings["tokens"], **on_gpu))
    result = run("bench", "memory", "--tokens", "1K")
    assert result.stdout.splitlines()[1].split() == ["1K", "3MiB", "2MiB", "9MiB", "8MiB", "4MiB", "5MiB", "50"]
    assert "peak on the GPU" in result.stdout and "loading the model is in each" in result.stderr


@pytest.mark.parametrize("error", [FarspanError("out of memory"), KeyboardInterrupt()])
def test_lengths_before_one_that_fails_are_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def measured(settings: dict[str, Any]) -> dict[str, Any]:
        if settings["tokens"] > 1024:
            raise error
        return row(settings["tokens"])

    monkeypatch.setattr(memory, "_measured", measured)
    result = run("bench", "memory", "--tokens", "1K,2K")
    assert result.exit_code == (1 if isinstance(error, FarspanError) else 130)
    assert result.stdout.splitlines()[1].split()[0] == "1K"


def test_files_of_the_users_folder_are_not_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FarspanError, match="nothing"):
        memory._measured({"tokens": 8, "method": "nothing", "budget": "16MiB"})
