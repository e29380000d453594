"""How much memory a process has resident, at most and now, and what tensors take on a GPU."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

_PROC, _OWN = Path("/proc"), "self"
_RESET_THE_PEAK = "5"


def peak_bytes() -> int:
    """The most memory that this process has had resident, in bytes, since the peak was forgotten.

    Linux: VmHWM, which unlike ru_maxrss does not carry over what the starting process had.
    """
    told = _told("VmHWM")
    if told is not None:
        return told
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Let the peak begin anew at what is resident now; False where the system cannot do so (other than Linux)."""
    try:
        (_PROC / _OWN / "clear_refs").write_text(_RESET_THE_PEAK)
    except OSError:
        return False
    return True


def own_bytes() -> int:
    """What this process has resident now; its peak where the system does not tell."""
    told = resident_bytes(_OWN)
    return peak_bytes() if told is None else told


def resident_bytes(process: int | str) -> int | None:
    """What a process has resident now; None where the system does not tell (other than Linux), or it has ended."""
    return _told("VmRSS", process)


class Tensors:
    """What tensors take on a device; on the CPU they are part of what the process has resident, and nothing is told."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None

    def now(self) -> int | None:
        """Bytes that they take now; the peak begins anew here."""
        if self._cuda is None:
            return None
        torch.cuda.reset_peak_memory_stats(self._cuda)
        return torch.cuda.memory_allocated(self._cuda)

    def peak(self) -> int | None:
        """The most bytes that they have taken since."""
        return None if self._cuda is None else torch.cuda.max_memory_allocated(self._cuda)


def _told(name: str, process: int | str = _OWN) -> int | None:
    """A size that the system tells of a process."""
    try:
        status = (_PROC / str(process) / "status").read_text()
    except OSError:
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines[name].split()[0]) * 1024 if name in lines else None
