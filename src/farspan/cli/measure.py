"""Reads a generated text of a given length in this process and reports its peak memory and speed.

`farspan bench memory` starts it once for every length, so that no length sees the memory of another:
`python -m farspan.cli.measure '{"tokens": 65536, "method": "infllm", "budget": "32MiB"}'`.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from farspan.errors import FarspanError
from farspan.types import Budget

WORDS = (
    "the of and to a in that he was it his with for on as had at by not be which from but is this they all one her so "
    "were are have said no an their who would been when them there him or what if out up then into more some could"
).split()
PIECE_CHARS = 1 << 16


def generated_text(chars: int, seed: int = 0) -> Iterator[str]:
    """Yield pieces of a text of about `chars` characters, made as it is read and never held whole."""
    draw = random.Random(seed)
    made = 0
    while made < chars:
        words = [draw.choice(WORDS) for _ in range(PIECE_CHARS // 5)]
        lines = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
        piece = (".\n".join(lines) + ".\n")[: chars - made]
        made += len(piece)
        yield piece


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
    document = Document("generated", lambda: generated_text(chars), fingerprint=f"generated:{chars}")
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
    try:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    except FarspanError as error:
        print(json.dumps({"error": error.message, "fix": error.fix, "exit_code": error.exit_code}))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
