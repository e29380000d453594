"""The native kernel is compiled once, where only the user may write, and whatever keeps it from that is said."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from farspan import env
from farspan.attention.native import build, library

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the native kernel is built on Linux and macOS")
needs_compiler = pytest.mark.skipif(not build.compilers(), reason="there is no C compiler")


@pytest.fixture(autouse=True)
def _nothing_is_built_or_chosen(_own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (_own_home / "kernels").unlink()
    monkeypatch.delenv("CC", raising=False)


def write_compiler(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_the_source_is_part_of_the_package() -> None:
    for name in build.SOURCES:
        assert files("farspan.attention.native").joinpath(name).is_file()


@needs_compiler
def test_built_once_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "kernels"
    path, compiler = build.library(folder)
    assert list(folder.iterdir()) == [path] and ctypes.CDLL(str(path)).farspan_attend
    assert shutil.which(compiler)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    built = path.stat().st_mtime_ns
    assert build.library(folder)[0] == path and path.stat().st_mtime_ns == built


@needs_compiler
def test_another_source_or_compiler_is_another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, compiler = build.library(tmp_path / "kernels")
    other = write_compiler(tmp_path / "other", f'exec {compiler} -DOTHER "$@"')
    monkeypatch.setenv("CC", str(other))
    assert build.library(tmp_path / "kernels")[0] != path


@needs_compiler
def test_many_may_build_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    code = "import sys; from pathlib import Path; from farspan.attention.native import build\n"
    code += "print(build.library(Path(sys.argv[1]))[0])"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        paths = {path for path, _ in pool.map(build.library, [folder] * 2)}
    paths |= {Path(run.communicate()[0].decode().strip()) for run in runs}
    assert all(run.returncode == 0 for run in runs)
    assert paths == set(folder.iterdir()) and len(paths) == 1


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert library.load.__wrapped__() == "there is no C compiler: install gcc or clang"
    monkeypatch.setenv("CC", "missing-cc")
    assert "missing-cc cannot be run" in str(library.load.__wrapped__())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo out of order >&2; exit 1", "cc failed: out of order"),
        ("exit 3", "cc failed with code 3"),
        ('case "$*" in *-E*) echo ok;; *) echo no disk >&2; exit 1;; esac', "cc failed: no disk"),
        ("exit 0", "cc made no library"),
    ],
)
def test_a_broken_compiler(script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_compiler(tmp_path / "cc", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert said in str(library.load.__wrapped__())
    assert list((env.home() / "kernels").iterdir()) == []


@needs_compiler
def test_the_next_compiler_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_compiler(tmp_path / "cc", "exit 1")
    (real,) = build.compilers()[-1]
    monkeypatch.setattr(build, "compilers", lambda: [[str(tmp_path / "cc")], [real]])
    assert build.library(tmp_path / "kernels")[1] == real


def test_a_library_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$*" in *-E*) echo ok;; *) for last; do :; done; echo garbage > "$last";; esac'
    write_compiler(tmp_path / "cc", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = library.load.__wrapped__()
    assert isinstance(found, str) and "kernels-" in found


@needs_compiler
@pytest.mark.parametrize("spoil", ["a file in the way", "others may write"])
def test_a_home_that_cannot_be_used(spoil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder takes its place, and is gone once the library is loaded."""
    folder = env.home() / "kernels"
    if spoil == "others may write":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert isinstance(library.load.__wrapped__(), library.Kernel)
    assert list(tmp_path.iterdir()) == []
    assert not folder.is_dir() or list(folder.iterdir()) == []


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="torch for Linux brings GOMP")
def test_threads_are_those_of_torch() -> None:
    kernel = library.load()
    assert isinstance(kernel, library.Kernel) and kernel.team
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    assert len({line.split()[-1] for line in maps.splitlines() if "gomp" in line or "iomp" in line}) == 1
