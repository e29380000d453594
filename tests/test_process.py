"""What farspan's own programs ask of the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HEAPS = """
import threading
from pathlib import Path
from farspan.process import share_freed_memory

def hold(ready, go):
    kept.append(bytearray(50_000))
    ready.set()
    go.wait()

kept = []
if SHARED:
    assert share_freed_memory()
go, threads = threading.Event(), []
for _ in range(6):
    ready = threading.Event()
    threads.append(threading.Thread(target=hold, args=(ready, go)))
    threads[-1].start()
    ready.wait()
lines = Path("/proc/self/maps").read_text().splitlines()
heaps = sum(int(line.split("-")[0], 16) % (64 << 20) == 0 for line in lines if "rw-p" in line)
go.set()
print(heaps)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_threads_share_one_heap() -> None:
    """Another heap of glibc begins at a multiple of 64 MiB: by default there is one for each thread, then none."""

    def heaps(shared: bool) -> int:
        code = HEAPS.replace("SHARED", str(shared))
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert heaps(shared=False) > 0
    assert heaps(shared=True) == 0


FILES = """
import resource
from farspan.process import allow_open_files, most_open_files

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
assert most_open_files() == 64
allow_open_files()
print(most_open_files() == (None if hard == resource.RLIM_INFINITY else hard))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take less than they say")
def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    assert subprocess.run([sys.executable, "-c", FILES], capture_output=True, text=True, check=True).stdout == "True\n"
