"""Rows become a summary: one cell for every task, context, mode, method, budget and length.

It holds no times, so that a run that was broken off and went on has the same summary, to the byte, as one that did not.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farspan.evals import statistics
from farspan.evals.effective import effective_lengths
from farspan.evals.results import key_of
from farspan.types import TIERS

Row = Mapping[str, Any]
Cell = dict[str, Any]

KEY = ("task", "context", "mode", "method", "budget", "length")
COLUMNS = (
    *KEY,
    *("questions", "contexts", "score", "low", "high", "nulls", "truncated", "failed", "reason", "sourced"),
    *("seen", "kept", "stored", "fetched", "dropped", "exact", *(f"{tier}_bytes" for tier in TIERS)),
)
_ACCOUNT = ("seen", "kept", "stored", "fetched", "dropped")
_PLACES = 4
_NUMBER = re.compile(r"\d[\d,.]*")


def summarise(rows: Iterable[Row]) -> list[Cell]:
    """The cells, sorted by task, context, mode, method, budget and length; the order of the rows does not matter.

    questions: rows with a score; failed: rows with an error, which are no scores of 0 but are counted, with the most
    frequent `reason`. score, low, high: mean and 95% interval over contexts (None when nothing was answered). nulls:
    replies in which nothing could be read. truncated: replies cut off at their longest. sourced: the share whose best
    source holds the evidence. seen to dropped: mean tokens of the method's account; device_bytes, host_bytes,
    disk_bytes: mean bytes of KV. exact: the share of answers equal to full attention. None where it is not known.
    """
    cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in sorted(latest(rows), key=lambda row: (row["sample"], row["turn"])):
        cells[tuple(row[name] for name in KEY)].append(row)
    return [{**dict(zip(KEY, key, strict=True)), **_cell(cells[key])} for key in sorted(cells)]


def latest(rows: Iterable[Row]) -> list[Row]:
    """Every question once: of one that failed and was asked again, the last row."""
    return list({key_of(row): row for row in rows}.values())


def grouped(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each context together, contexts and turns in order."""
    contexts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        contexts[row["sample"]].append(row)
    return [sorted(contexts[name], key=lambda row: (row["turn"], row["mode"])) for name in sorted(contexts)]


def why_failed(errors: Iterable[str]) -> list[tuple[str, int]]:
    """Why questions failed and how many did for that, the most frequent first; told alike but for numbers is one."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for error in errors:
        kind = _NUMBER.sub("0", error)
        first.setdefault(kind, error)
        counts[kind] += 1
    return [(first[kind], count) for kind, count in counts.most_common()]


def scored(row: Row) -> bool:
    """Whether a row was answered; one that failed has no score."""
    return not row["error"] and row["score"] is not None


def write(folder: Path, cells: Sequence[Cell]) -> list[Path]:
    """Write the cells as summary.csv, and with the effective lengths as summary.json."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(cells)
    lengths = [asdict(one) for one in effective_lengths(cells)]
    whole = json.dumps({"cells": list(cells), "effective_lengths": lengths}, indent=1, ensure_ascii=False) + "\n"
    paths = [folder / "summary.csv", folder / "summary.json"]
    for path, content in zip(paths, (text.getvalue(), whole), strict=True):
        path.write_text(content, encoding="utf-8", newline="")
    return paths


def _cell(rows: Sequence[Row]) -> Cell:
    answered = [row for row in rows if scored(row)]
    groups = [[float(row["score"]) for row in group] for group in grouped(answered)]
    score = round(statistics.mean(groups), _PLACES) if groups else None
    low, high = (round(end, _PLACES) for end in statistics.interval(groups)) if groups else (None, None)
    reasons = Counter(str(row["error"]) for row in rows if row["error"])
    return {
        "questions": len(answered),
        "contexts": len(groups),
        "score": score,
        "low": low,
        "high": high,
        "nulls": sum(bool(row["null"]) for row in answered),
        "truncated": sum(bool(row["truncated"]) for row in answered),
        "failed": len(rows) - len(answered),
        "reason": min(reasons, key=lambda reason: (-reasons[reason], reason)) if reasons else None,
        "sourced": _share(row["sourced"] for row in answered),
        **_account([row["counts"] for row in answered if row["counts"]]),
    }


def _account(counts: Sequence[Mapping[str, Any]]) -> Cell:
    """Means of the accounts, in whole tokens and bytes; None where no subject keeps one."""
    tokens = {name: _whole([one[name] for one in counts]) for name in _ACCOUNT}
    held = {f"{tier}_bytes": _whole([one["kv_bytes"].get(tier, 0) for one in counts]) for tier in TIERS}
    return {**tokens, "exact": _share(one["exact"] for one in counts), **held}


def _whole(values: Sequence[int]) -> int | None:
    return round(sum(values) / len(values)) if values else None


def _share(values: Iterable[bool | None]) -> float | None:
    known = [bool(value) for value in values if value is not None]
    return round(sum(known) / len(known), _PLACES) if known else None
