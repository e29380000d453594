"""Compiles the C of this folder for the machine that it runs on, and keeps the library for next time.

A library is named by its source, its flags and what the compiler says of itself and of the processor. It is written
beside its place and then put there at once, so that processes may build at the same time. It is only ever loaded from
a folder that belongs to the user and that nobody else may write to.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

SOURCES = ("attend.c", "many.c", "product.c", "layer.c", "search.c", "codes.c", "product.h", "rows.h", "vectors.h")
_FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
_TARGETS = (("-march=native",), ("-mcpu=native",), ())
_SECONDS = 120


class BuildError(Exception):
    """Why there is no library; for `farspan doctor` to say."""


def compilers() -> list[list[str]]:
    """The C compilers to try in turn, each a command: what CC names, or those that the system has."""
    chosen = os.environ.get("CC")
    if chosen:
        return [shlex.split(chosen)]
    return [[path] for path in map(shutil.which, ("cc", "gcc", "clang")) if path]


def library(folder: Path) -> tuple[Path, str]:
    """The library in `folder`, built if it is not there yet, and the compiler that made it."""
    if os.name != "posix":
        raise BuildError("it is built on Linux and macOS only")
    found = compilers()
    if not found:
        raise BuildError("there is no C compiler: install gcc or clang")
    _own(folder)
    complaints = []
    for compiler in found:
        try:
            return _built(compiler, folder), compiler[0]
        except BuildError as error:
            complaints.append(str(error))
    raise BuildError("; ".join(complaints))


def _own(folder: Path) -> None:
    """Make the folder, and see that nobody else could have put a library there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"others may write to {folder}")


def _built(compiler: list[str], folder: Path) -> Path:
    target, machine = _target(compiler)
    source = [files(__package__).joinpath(name).read_bytes() for name in SOURCES]
    name = hashlib.sha256(b"\0".join((*source, " ".join((*compiler, *_FLAGS, *target)).encode(), machine))).hexdigest()
    path = folder / f"kernels-{name[:24]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            for file, text in zip(SOURCES, source, strict=True):
                Path(beside, file).write_bytes(text)
            made = Path(beside, path.name)
            code = [str(Path(beside, file)) for file in SOURCES if file.endswith(".c")]
            _run([*compiler, *_FLAGS, *target, *code, "-lm", "-o", str(made)])
            if not made.exists():
                raise BuildError(f"{compiler[0]} made no library")
            made.replace(path)
    return path


def _target(compiler: list[str]) -> tuple[tuple[str, ...], bytes]:
    """The flags for this processor, and all that the compiler defines with them, its version among it."""
    complaint = BuildError(f"{compiler[0]} does not work")
    for flags in _TARGETS:
        try:
            return flags, _run([*compiler, *flags, "-dM", "-E", "-x", "c", os.devnull])
        except BuildError as error:
            complaint = error
    raise complaint


def _run(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from None
    if done.returncode:
        with suppress(IndexError):
            raise BuildError(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1]}")
        raise BuildError(f"{command[0]} failed with code {done.returncode}")
    return done.stdout
