"""Named sets of tasks with the sizes they are meant for: `farspan eval run smoke`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farspan import tasks
from farspan.errors import UsageError, nearest
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tasks, and the settings that a run takes where the user gives none."""

    about: str
    tasks: tuple[str, ...]
    methods: tuple[str, ...] = ()
    lengths: tuple[int, ...] = (1024, 4096, 16_384)
    questions: int = 100
    turns: int = 5
    modes: tuple[str, ...] = (MULTI_REQUEST,)


RULER = (
    *(f"niah_single_{number}" for number in (1, 2, 3)),
    *(f"niah_multikey_{number}" for number in (1, 2, 3)),
    "niah_multivalue",
    "niah_multiquery",
    "ruler_vt",
    "ruler_cwe",
    "ruler_fwe",
    "ruler_qa",
)
MATRIX = (
    "needle",
    "needle(haystack=needles)",
    "shared_kv",
    "variables(ask=chain,chains=10)",
    "threading_single",
    "threading_thread",
    "quotes",
    "biographies",
)


def generated() -> tuple[str, ...]:
    """Every family that needs no file."""
    return tuple(name for name in tasks.names() if not tasks.needs(name))


def suites() -> Mapping[str, Suite]:
    """Every suite by its name."""
    return {
        "smoke": Suite(
            about="every generated family once over: does it all run?",
            tasks=generated(),
            methods=("full", "streaming"),
            lengths=(1024,),
            questions=2,
            turns=2,
        ),
        "ruler": Suite(about="RULER's tasks in our own words; one QA task instead of two", tasks=RULER, turns=1),
        "shared": Suite(
            about="SCBench's idea: one context, five questions, forked and as a conversation",
            tasks=("scbench_kv", "shared_prefix_suffix", "shared_vt", "shared_extremes", "shared_many_shot"),
            modes=(MULTI_REQUEST, MULTI_TURN),
        ),
        "matrix": Suite(
            about="what the bundled model can answer, and what it cannot: the tables of docs/results",
            tasks=MATRIX,
            lengths=(512, 1024, 2048, 4096, 8192, 16_384),
            turns=10,
        ),
    }


def get(name: str) -> Suite:
    """The suite of that name. Raises UsageError that names the nearest."""
    if name not in suites():
        raise UsageError(f"no suite is called {name!r}", fix=nearest(name, suites()))
    return suites()[name]
