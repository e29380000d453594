"""Rows as a run writes them, drawn from made-up abilities: five methods, six tasks, lengths from 512 to 16K."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from typing import Any

METHODS = ("full", "streaming", "infllm", "topk(block=32,count=16)", "lm_infinite")
TASKS = ("needle(turns=4)", "needle(needles=8,turns=4)", "variables(turns=4)", "quotes(turns=4)")
WITHOUT_DEPTH, NATIVE = "word_count(turns=4)", 'folder(path="bench.jsonl")'
LENGTHS = (512, 1024, 2048, 4096, 8192, 16_384)
BUDGET, WINDOW, BYTES_PER_TOKEN = "2MiB", 1024, 1024
TURNS = 4
_BOUNDED = 2048

CONFIG: dict[str, Any] = {
    "identity": {
        "model": "farspan-tiny",
        "weights": "9f2c51d4a7e30b86",
        "tokenizer": "55d1b7c09a",
        "window": WINDOW,
        "seed": 0,
        "farspan": "0.1.0",
    },
    "plan": {
        "tasks": ["needle", "variables", "needle(needles=8)", "quotes", "word_count", 'folder(path="bench.jsonl")'],
        "methods": list(METHODS),
        "lengths": list(LENGTHS),
        "budget": BUDGET,
        "questions": 40,
        "turns": TURNS,
    },
    "versions": {"torch": "2.9.0", "transformers": "5.17.0"},
    "machine": {"system": "Linux-6.1-x86_64", "cores": 2, "python": "3.11.9"},
    "command": "farspan eval run needle --methods full,streaming --note '<b>see https://example.org</b>'",
}


def fake_rows(contexts: int = 10, *, conversation: bool = True) -> list[dict[str, Any]]:
    """All rows of a run, in the order in which it would write them."""
    return [
        row
        for task in (*TASKS, WITHOUT_DEPTH, NATIVE)
        for length in ((0,) if task == NATIVE else LENGTHS)
        for number in range(contexts)
        for row in _context(task, length, number, conversation)
    ]


def fake_row(**given: Any) -> dict[str, Any]:
    """One right answer by full attention, with what is given in its place."""
    row = {
        "sample": "needle|1|1024|0|0|multi_request",
        "task": "needle",
        "family": "needle",
        "length": 1024,
        "number": 0,
        "seed": 0,
        "method": "full",
        "budget": BUDGET,
        "mode": "multi_request",
        "context": "full",
        "turn": 0,
        "query": "What is the code?",
        "answer": " 7319",
        "gold": ["7319"],
        "scorer": "any_substring",
        "options": {},
        "decoys": [],
        "echoes": [],
        "depth": 0.5,
        "meta": {},
        "prompt_sha": "e3b0c442",
        "reply": "It is 7319.",
        "score": 1.0,
        "null": False,
        "parsed": None,
        "truncated": False,
        "sourced": True,
        "prompt_tokens": 20,
        "context_tokens": 1000,
        "new_tokens": 5,
        "max_new_tokens": 29,
        "counts": _counts("full", 1024),
        "read_s": 0.5,
        "answer_s": 0.05,
        "error": None,
    }
    return row | given


def failed_row(reason: str, **given: Any) -> dict[str, Any]:
    """A question that could not be answered."""
    nothing = dict.fromkeys(("score", "null", "parsed", "sourced", "prompt_tokens", "context_tokens", "new_tokens"))
    return fake_row(**nothing, reply="", counts={}, error=reason, **given)


def _context(task: str, length: int, number: int, conversation: bool) -> Iterator[dict[str, Any]]:
    modes = ("multi_request", "multi_turn") if conversation and "folder" not in task else ("multi_request",)
    sample = f"{task}|1|{length}|0|{number}|{'+'.join(modes)}"
    for method in METHODS:
        for mode in modes:
            for turn in range(TURNS):
                yield _asked(task, length, number, sample, method, mode, turn)
    if length == LENGTHS[0]:
        for context, ability in (("none", 0.04), ("evidence", 0.96)):
            for turn in range(TURNS):
                yield _row(task, length, number, sample, "full", "multi_request", turn, ability, context)


def _asked(task: str, length: int, number: int, sample: str, method: str, mode: str, turn: int) -> dict[str, Any]:
    if task == TASKS[2] and method == "full" and length == LENGTHS[-1]:
        reason = "BudgetError: 2MiB holds 2,048 tokens of KV, the text has 16,384; give a larger budget"
        return failed_row(reason, **_place(task, length, number, sample, method, mode, turn))
    if task == TASKS[0] and method == "infllm" and length == 4096 and number == 1:
        return failed_row(
            "RuntimeError: out of memory <script>alert('reason')</script>",
            **_place(task, length, number, sample, method, mode, turn),
        )
    ability = _ability(task, length, method, _depth(sample, turn))
    drop = 0.08 * turn if mode == "multi_turn" and method != "full" else 0.0
    return _row(task, length, number, sample, method, mode, turn, max(0.01, ability - drop), "full")


def _ability(task: str, length: int, method: str, depth: float) -> float:
    hardness = {TASKS[0]: 0.0, TASKS[1]: 0.5, TASKS[2]: 1.1, TASKS[3]: 0.3, WITHOUT_DEPTH: 3.4, NATIVE: 0.8}[task]
    doublings = math.log2((length or 6000) / WINDOW)
    logit = 3.2 - hardness
    if method == "full":
        logit -= 2.4 * max(0.0, doublings)
    elif method in ("streaming", "lm_infinite"):
        held = min(1.0, WINDOW / (length or 6000))
        logit += -0.2 if depth > 1 - held else -7.0
    else:
        logit -= 0.35 * max(0.0, doublings) + (0.6 if method == "infllm" else 0.2)
    return 1 / (1 + math.exp(-logit))


def _row(
    task: str, length: int, number: int, sample: str, method: str, mode: str, turn: int, ability: float, context: str
) -> dict[str, Any]:
    rng = random.Random(f"{sample}|{method}|{mode}|{turn}|{context}")
    luck = random.Random(sample).gauss(0, 0.12)
    score: float = float(rng.random() < min(1.0, ability + luck))
    if task == TASKS[3]:
        score = round(sum(rng.random() < ability for _ in range(5)) / 5, 6)
    speed = {"full": 2400 / (1 + length / 8192), "infllm": 1500}.get(method, 2600)
    return fake_row(
        **_place(task, length, number, sample, method, mode, turn),
        context=context,
        query="What is the code of the copper lantern?",
        reply=f"It is {rng.randrange(10_000)}. <script>alert('reply')</script>" if score < 1 else "It is 7319.",
        score=score,
        null=score < 1 and rng.random() < 0.1,
        truncated=rng.random() < 0.03,
        sourced=None if context != "full" else rng.random() < score * 0.9,
        context_tokens=length or 6000,
        counts=_counts(method, length or 6000),
        read_s=round((length or 6000) / speed * rng.uniform(0.9, 1.1), 3),
        answer_s=round(rng.uniform(0.05, 0.2), 3),
    )


def _place(task: str, length: int, number: int, sample: str, method: str, mode: str, turn: int) -> dict[str, Any]:
    names = {"task": task, "family": task.partition("(")[0], "length": length, "number": number, "sample": sample}
    depth = None if task in (WITHOUT_DEPTH, NATIVE) else _depth(sample, turn)
    return {**names, "method": method, "mode": mode, "turn": turn, "depth": depth}


def _depth(sample: str, turn: int) -> float:
    digest = hashlib.sha256(f"{sample}|{turn}".encode()).digest()
    return round(int.from_bytes(digest[:4], "big") / 2**32, 4)


def _counts(method: str, seen: int) -> dict[str, Any]:
    kept = seen if method == "full" else min(seen, _BOUNDED if method == "infllm" else _BOUNDED // 2)
    rest = seen - kept
    stored, dropped = (rest, 0) if method in ("infllm", METHODS[3]) else (0, rest)
    held = {"device": kept * BYTES_PER_TOKEN, "host": 0, "disk": stored * BYTES_PER_TOKEN}
    tokens = {"seen": seen, "kept": kept, "stored": stored, "fetched": stored // 4, "dropped": dropped}
    return {**tokens, "exact": method == "full", "kv_bytes": held}
