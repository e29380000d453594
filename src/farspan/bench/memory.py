"""Reads a generated text of a given length in this process and reports its peak memory and speed.

`farspan bench memory` starts it once for every length, so that no length sees the memory of another:
`python -m farspan.bench.memory '{"tokens": 65536, "method": "infllm", "budget": "32MiB"}'`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from farspan.bench.text import PIECE_CHARS, generated_text
from farspan.errors import FarspanError
from farspan.process import keep_freed_memory
from farspan.types import Budget


def peak_bytes() -> int:
    """The most memory that this process has had resident, in bytes.

    Linux: VmHWM, which unlike ru_maxrss does not carry over what the starting process had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Read `settings["tokens"]` tokens and return one row of `farspan bench memory`."""
    import farspan
    from farspan.text import Document

    model = farspan.load(settings.get("model"), dtype=settings.get("dtype"), device=settings.get("device"))
    sample = "".join(generated_text(PIECE_CHARS))
    chars_per_token = len(sample) / len(model.tokenizer(sample, add_special_tokens=False)["input_ids"])
    with_budget = Budget.parse(settings["budget"])
    session = model.session(method=farspan.methods.parse(settings["method"]), budget=with_budget)
    chars = int(settings["tokens"] * chars_per_token)
    document = Document("generated", lambda: generated_text(chars), fingerprint=lambda: f"generated:{chars}")
    loaded, start = peak_bytes(), time.perf_counter()
    session.read(document)
    seconds = time.perf_counter() - start
    row = {
        "tokens": settings["tokens"],
        "peak_bytes": peak_bytes(),
        "loaded_bytes": loaded,
        "seconds": round(seconds, 3),
        "tokens_per_s": round(session.counts.seen / seconds, 1),
        "context": session.counts.as_dict(),
    }
    session.close()
    return row


def main() -> int:
    """Write the row, or the error that kept it from being measured, as one line of JSON; return the exit code."""
    keep_freed_memory()
    try:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    except FarspanError as error:
        print(json.dumps({"error": error.message, "fix": error.fix, "exit_code": error.exit_code}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
