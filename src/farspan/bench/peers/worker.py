"""The other end of `outside`: runs a contender in this interpreter and answers lines of JSON.

    python worker.py llama_cpp_side

The first line that it writes says whether the side could be made: `{"value": version}`, or `{"absent": why}`. Every
line that it then reads names a method of the side and its arguments, `{"do": "write", "ids": [5, 7]}`; the answer is
`{"value": ...}` or `{"error": "what went wrong"}`. It ends when its input does. It knows nothing of farspan.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any, TextIO


def serve(side: Any, requests: TextIO, answers: TextIO) -> None:
    """Answer every request until there are no more."""
    for line in requests:
        request = json.loads(line)
        try:
            answer = {"value": getattr(side, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _write(answers, answer)


def _write(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main(name: str) -> int:
    """Make a side and serve it. What libraries print goes to stderr, so that answers stay alone on stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        side = importlib.import_module(name).Side()
    except ModuleNotFoundError as error:
        _write(answers, {"absent": f"not installed: {error}"})
        return 1
    except Exception as error:
        _write(answers, {"absent": f"it cannot be begun: {type(error).__name__}: {error}"})
        return 1
    _write(answers, {"value": side.version})
    serve(side, sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
