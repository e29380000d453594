"""What every test has: no network, a home of its own, and one thread of torch (two cores are often shared)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("farspan", derandomize=True)
settings.load_profile("farspan")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported; 0 on a machine with a GPU tests it there


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Hold torch to one thread, so that timings and sums do not depend on the machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point FARSPAN_HOME at an empty folder, and clear every other FARSPAN_* variable."""
    for name in [name for name in os.environ if name.startswith("FARSPAN_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FARSPAN_HOME", str(home))
    return home
