"""Long plans, unit by unit, of which each is to hold some words and not to hold others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from farspan.evals.scorers.base import Score, place
from farspan.evals.scorers.kit.text import straight
from farspan.tasks import Turn

_END = re.compile(r"\*{3}\s?finished\b", re.IGNORECASE)


def constraints(text: str, turn: Turn) -> Score:
    """The share of all checks that hold (LongGenBench; Wu et al. 2024, their STIC-2), in units at lines `#*# Day 3:`.

    options: `units`, how many; `unit`, what they are called ("Unit" without it); `checks`, each with `kind` (`has` or
    `lacks`), `unit` (from 1 on) and `phrase`. A check of a unit that is missing or empty does not hold, not even
    `lacks`. parsed: `completion`, the share of units there are; `stic1`, the share of checks that hold in those;
    `stic2`, the value. Upstream asks a model whether an event is in a unit; here it is there word by word.
    """
    checks: list[Mapping[str, Any]] = list(turn.options.get("checks", ()))
    amount = int(turn.options.get("units", 0))
    units = _units(text, str(turn.options.get("unit", "Unit")), amount)
    tried = [check for check in checks if int(check["unit"]) in units]
    held = sum(_holds(check, units[int(check["unit"])]) for check in tried)
    value = held / len(checks) if checks else 0.0
    parsed = {"completion": len(units) / max(1, amount), "stic1": held / max(1, len(tried)), "stic2": value}
    return Score(value, null=not units, parsed={name: round(share, 6) for name, share in parsed.items()})


def _units(text: str, unit: str, amount: int) -> dict[int, str]:
    """The texts of the units that say something, by number; of two with one number the first."""
    body = _END.split(text, maxsplit=1)[0]
    heads = list(re.finditer(rf"^[*_ ]{{0,6}}#\*#\s{{0,3}}{re.escape(unit)}\s{{0,3}}(\d{{1,9}})", body, re.M | re.I))
    units: dict[int, str] = {}
    for i, head in enumerate(heads):
        end = heads[i + 1].start() if i + 1 < len(heads) else len(body)
        said = straight(body[head.end() : end]).casefold()
        if 1 <= int(head[1]) <= amount and re.search(r"\w", said):
            units.setdefault(int(head[1]), " ".join(said.split()))
    return units


def _holds(check: Mapping[str, Any], said: str) -> bool:
    there = place(straight(str(check["phrase"])).casefold(), said) >= 0
    return there if check["kind"] == "has" else not there
