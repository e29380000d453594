"""What every test has: no network, a home of its own, and one thread of torch (two cores are often shared)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
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


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background of a shell."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes a folder for FARSPAN_HOME, empty but for the kernels, which are built once for all tests."""
    base = tmp_path_factory.getbasetemp()
    kernels = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    kernels.mkdir(mode=0o700, exist_ok=True)
    homes = (base / f"home-{number}" for number in count())  # mktemp would look at all of them for each

    def make() -> Path:
        home = next(homes)
        home.mkdir()
        (home / "kernels").symlink_to(kernels)
        return home

    return make


@pytest.fixture(scope="session", autouse=True)
def _home_of_all(new_home: Callable[[], Path]) -> None:
    """What servers and other fixtures that serve many tests have as FARSPAN_HOME."""
    os.environ["FARSPAN_HOME"] = str(new_home())


@pytest.fixture(autouse=True)
def _own_home(new_home: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point FARSPAN_HOME at a folder of its own, and clear every other FARSPAN_* variable."""
    for name in [name for name in os.environ if name.startswith("FARSPAN_")]:
        monkeypatch.delenv(name)
    home = new_home()
    monkeypatch.setenv("FARSPAN_HOME", str(home))
    return home
