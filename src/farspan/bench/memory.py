"""Reads a generated text of a given length in this process and reports its peak memory and speed.

`farspan bench memory` starts it once for every length, so that no length sees the memory of another:
`python -P -m farspan.bench.memory '{"tokens": 65536, "method": "infllm", "budget": "32MiB"}'`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from farspan.bench.clock import seconds_of
from farspan.bench.resident import Tensors, forget_peak, own_bytes, peak_bytes
from farspan.bench.text import PIECE_CHARS, generated_text
from farspan.errors import FarspanError
from farspan.process import keep_freed_memory
from farspan.types import Budget


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Read `settings["tokens"]` tokens and return one row of `farspan bench memory`.

    Peaks are those of reading, beside what is taken once the model is loaded: loading may take more for a moment. Where
    `peak_is_of_reading` is False the system could not tell them apart.
    """
    import farspan
    from farspan.text import Document

    model = farspan.load(settings.get("model"), dtype=settings.get("dtype"), device=settings.get("device"))
    sample = "".join(generated_text(PIECE_CHARS))
    chars_per_token = len(sample) / len(model.tokenizer(sample, add_special_tokens=False)["input_ids"])
    with_budget = Budget.parse(settings["budget"])
    session = model.session(method=farspan.methods.parse(settings["method"]), budget=with_budget)
    chars = int(settings["tokens"] * chars_per_token)
    document = Document("generated", lambda: generated_text(chars), fingerprint=lambda: f"generated:{chars}")
    device = model.hosted.device
    tensors = Tensors(device)
    of_reading, loaded, device_loaded = forget_peak(), own_bytes(), tensors.now()
    seconds = seconds_of(lambda: session.read(document), device)
    row = {
        "tokens": settings["tokens"],
        "peak_bytes": peak_bytes(),
        "peak_is_of_reading": of_reading,
        "loaded_bytes": loaded,
        "device_peak_bytes": tensors.peak(),
        "device_loaded_bytes": device_loaded,
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
