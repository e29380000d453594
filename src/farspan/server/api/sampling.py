"""How an answer is drawn, from what a request says."""

from __future__ import annotations

from typing import Any

from farspan.server.api.bodies import Generating

_DEFAULT_TOKENS = 1024


def sampling(body: Generating, most: int | None, *, seed: int | None = None, stop: Any = None) -> dict[str, Any]:
    """The keywords of `Sampling`: greedy unless a temperature is given, at most 1,024 tokens unless more are asked."""
    stops = [one for one in ([stop] if isinstance(stop, str) else stop or []) if one]
    return {
        "max_new_tokens": most or _DEFAULT_TOKENS,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": seed,
        "stop": stops or None,
    }
