"""`farspan doctor`: what this machine has, and whether the bundled model works on it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from farspan import __version__, env
from farspan.cli import opening, show
from farspan.cli.options import debug_option, json_option
from farspan.errors import FarspanError
from farspan.types import format_bytes


@click.command("doctor")
@json_option
@debug_option
def command(as_json: bool) -> None:
    """Say what this machine has, and whether farspan runs on it.

    Versions, devices, kernels, free memory and disk, folders, and whether the bundled model answers. Ends with code 1
    when it does not.
    """
    facts = {**_versions(), **_device(), **_room()}
    broken = _try_bundled_model()
    facts["bundled model"] = broken or "ok"
    if as_json:
        show.as_json({"ok": not broken, **{name.replace(" ", "_"): value for name, value in facts.items()}})
    else:
        for name, value in facts.items():
            click.echo(f"{name}: {value}")
    if broken:
        raise FarspanError(f"the bundled model does not run: {broken}", fix="install farspan again")


def _versions() -> dict[str, Any]:
    names = ("torch", "transformers", "tokenizers", "numpy", "safetensors")
    return {
        "farspan": __version__,
        "python": f"{platform.python_version()} on {platform.platform(terse=True)} {platform.machine()}",
        **{name: version(name) for name in names},
    }


def _device() -> dict[str, Any]:
    import torch

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "device": ", ".join(cuda) or f"cpu ({torch.backends.cpu.get_cpu_capability()})",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "half precision": _half_precision(),
        "kernels": _kernels(),
        "gpu kernels": _gpu_kernels(),
    }


def _half_precision() -> str:
    """What becomes on the CPU of matrices in bfloat16 and float16."""
    import torch

    from farspan.attention.processor import lacks_products

    lacking = [name for name in ("bfloat16", "float16") if lacks_products(getattr(torch, name))]
    if not lacking:
        return "multiplied as it is"
    return f"{' and '.join(lacking)} multiplied in float32: this processor has no products of its own for it"


def _kernels() -> str:
    """Which attention kernels are used where few queries meet many keys, and why."""
    from farspan.attention.kernels import native_kernel

    kernel = native_kernel()
    if isinstance(kernel, str):
        return f"torch ({kernel})"
    return f"native ({kernel.compiler}, {'as many threads as torch' if kernel.team else 'one thread'})"


def _gpu_kernels() -> str:
    """The same for what lies on a GPU."""
    from farspan.attention.kernels import gpu_kernels

    kernels = gpu_kernels()
    return f"torch ({kernels})" if isinstance(kernels, str) else f"triton ({kernels.version})"


def _room() -> dict[str, Any]:
    scratch = env.scratch_folder() or Path(tempfile.gettempdir())
    return {
        "free memory": _free_memory(),
        "sessions": f"{env.sessions_folder()} ({_free_disk(env.home())} free)",
        "scratch": f"{scratch} ({_free_disk(scratch)} free)",
        "model cache": str(_model_cache()),
    }


def _free_memory() -> str:
    """Memory that a new program could take, where the system says it."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return "unknown"
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return format_bytes(int(lines["MemAvailable"].split()[0]) * 1024)


def _free_disk(folder: Path) -> str:
    """Free bytes of the disk that holds `folder`, which need not exist yet."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return format_bytes(shutil.disk_usage(existing).free)


def _model_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _try_bundled_model() -> str:
    """Let the bundled model read and answer; an empty string when it did, otherwise what went wrong."""
    import farspan

    opening.hush()
    try:
        with farspan.load().session() as session:
            session.read("The quick brown fox jumps over the lazy dog.")
            list(session.ask('Continue the quote: "The quick brown"', max_new_tokens=4))
    except Exception as error:  # whatever it is, it is what doctor has to say
        return f"{type(error).__name__}: {error}"
    return ""
