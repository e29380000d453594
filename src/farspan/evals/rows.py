"""Rows: what is kept of one question, all that it takes to score, count and compare it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from farspan.evals import scorers
from farspan.evals.plan import FULL, Plan
from farspan.evals.results import Row
from farspan.evals.subjects import Reply
from farspan.evals.units import Unit, prompt_sha
from farspan.tasks import Turn


def row_of(
    plan: Plan,
    unit: Unit,
    mode: str,
    place: int,
    reply: Reply | None,
    seconds: tuple[float, float],
    error: str | None,
) -> Row:
    """Everything that is needed to score, count and compare the reply to turn `place` again."""
    turn = unit.sample.turns[place]
    task = unit.cell.task
    score = scorers.score(reply.text, turn) if reply else None
    return {
        "sample": unit.name,
        "task": str(task),
        "family": task.family,
        "length": unit.cell.length,
        "number": unit.number,
        "seed": plan.seed,
        "method": unit.method,
        "budget": plan.budget,
        "mode": mode,
        "context": unit.context,
        "turn": place,
        **asdict(turn),
        "evidence": unit.sample.spans(turn),
        "depth": unit.sample.depth(turn),
        "meta": dict(unit.sample.meta),
        "prompt_sha": prompt_sha(unit.sample, turn),
        "reply": reply.text if reply else "",
        "score": round(score.value, 6) if score else None,
        "null": score.null if score else None,
        "parsed": score.parsed if score else None,
        "truncated": bool(reply and reply.cut_off),
        "sourced": _sourced(unit, turn, reply),
        "prompt_tokens": reply.prompt_tokens if reply else None,
        "context_tokens": reply.context_tokens if reply else None,
        "new_tokens": reply.new_tokens if reply else None,
        "counts": dict(reply.counts) if reply else {},
        "peak_bytes": reply.peak_bytes if reply else None,
        "forked": reply.forked if reply else None,
        "first_s": round(reply.first_s, 3) if reply else None,
        "read_s": round(seconds[0], 3),
        "answer_s": round(seconds[1], 3),
        "error": error,
    }


def _sourced(unit: Unit, turn: Turn, reply: Reply | None) -> bool | None:
    """Whether the best source overlaps a passage that holds the answer; None where that cannot be said."""
    spans = unit.sample.spans(turn)
    if reply is None or unit.context != FULL or not spans or not reply.counts:
        return None
    return any(start < end_ and start_ < end for start_, end_ in reply.sources[:1] for start, end in spans)


def rescored(rows: list[Row]) -> list[Row]:
    """The rows scored again from what they hold, without a model."""
    names = Turn.__dataclass_fields__.keys() - {"evidence"}
    fresh = []
    for row in rows:
        if row["error"]:
            fresh.append(row)
            continue
        given: dict[str, Any] = {name: row[name] for name in names}
        for name in ("gold", "decoys", "echoes", "stop"):
            given[name] = tuple(given[name])
        score = scorers.score(row["reply"], Turn(**given))
        fresh.append({**row, "score": round(score.value, 6), "null": score.null, "parsed": score.parsed})
    return fresh
