"""Countdown: reach a target from four numbers by a search that is written out, after a context of worked searches.

Stated in the context (the default), the problem is one of several left open among the worked ones and has to be found
again; stated in the query, as in LongProc, the context only shows how to go about it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from farspan.errors import UsageError
from farspan.tasks.kit.card import MULTI_TURN, Card
from farspan.tasks.kit.layout import located, stack
from farspan.tasks.kit.sample import Page, Sample, Span, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material.numbers_game import Problem, draw

CARD = Card(
    scope="one fact",
    diffusion="computed",
    source="LongProc (Ye et al. 2025) after Stream of Search (Gandhi et al. 2024); the trace is worded by us",
    presets={"longproc_countdown": {"stated": "query"}},
)
_LINE = "\n  21 + 16 = 37, leaving 37 17"
_SHORTEST, _WORKED, _LONGEST = 3, 40, 600
_RULES = "Use all four numbers once with + - * / to reach the target; every result is a whole number from 1 to 2000. "
_FORM = "Write the three equations between <Solution> and </Solution>, one on each line."


def make(
    rng: random.Random,
    space: Space,
    *,
    turns: int = 1,
    stated: str = "context",
    trace: bool = True,
    longest: int = 400,
) -> Sample:
    """Worked problems as many as fit, and `turns` problems to solve, stated in the `context` or the `query`.

    trace: the search belongs to the answer, which then takes up to a third of the length, `longest` lines at most.
    Raises UsageError for an unknown place or a limit outside 12 to 600.
    """
    if stated not in ("context", "query"):
        raise UsageError(f"countdown cannot state a problem in the {stated!r}", fix="context or query")
    if not 4 * _SHORTEST <= longest <= _LONGEST:
        raise UsageError(f"countdown cannot search {longest} lines", fix=f"{4 * _SHORTEST} to {_LONGEST}")
    shares = 3 * (turns if MULTI_TURN in space.modes else 1)
    room = space.length // shares // max(1, space.count(_LINE))
    most = max(4 * _SHORTEST, min(longest, room))
    problems = [draw(rng, most // 2, most) for _ in range(turns + 2 if stated == "context" else turns)]
    worker, seed = random.Random(rng.getrandbits(64)), rng.getrandbits(64)
    worked: list[Problem] = []

    def build(amount: int) -> Sample:
        while len(worked) < amount:
            worked.append(draw(worker, _SHORTEST, min(_WORKED, most)))
        if stated == "query":
            return _lesson(worked[:amount], [_turn(_stated(problem), problem, trace) for problem in problems])
        return _exercises(random.Random(seed), worked[:amount], problems, turns, trace)

    return stack(space, build, least=0)


def _lesson(worked: Sequence[Problem], turns: Sequence[Turn]) -> Sample:
    page = Page()
    for number, problem in enumerate(worked):
        page.add(_break(number) + _solved(problem))
    return page.sample(tuple(turns), worked=len(worked))


def _exercises(
    rng: random.Random, worked: Sequence[Problem], problems: Sequence[Problem], turns: int, trace: bool
) -> Sample:
    """Open problems at random places among the worked ones; the first `turns` of them are asked for."""
    names = [f"Open problem {number}" for number in rng.sample(range(1, len(problems) + 1), len(problems))]
    parts = [_solved(problem) for problem in worked]
    places = sorted(rng.randint(0, len(parts)) for _ in problems)
    order = rng.sample(range(len(problems)), len(problems))
    page, spans, done = Page(), [Span(0, 0, 0)] * len(problems), 0
    for place, which in zip(places, order, strict=True):
        for part in parts[done:place]:
            page.add(_break(bool(page.text)) + part)
        spans[which] = page.add(_break(bool(page.text)) + f"{names[which]}. {_stated(problems[which])}")
        done = place
    for part in parts[done:]:
        page.add(_break(True) + part)
    asked = [(_turn(f"Solve {names[i].lower()}.", problems[i], trace), [i]) for i in range(turns)]
    return page.sample(located(spans, asked), worked=len(worked))


def _turn(beginning: str, problem: Problem, trace: bool) -> Turn:
    lines = "\n".join(problem.solution)
    solution = f"<Solution>\n{lines}\n</Solution>"
    wanted = f"First write out the search. {_FORM}" if trace else _FORM
    options = {"numbers": list(problem.numbers), "target": problem.target}
    answer = f"{problem.search}\n{solution}" if trace else solution
    return Turn(f"{beginning} {_RULES}{wanted}", answer, (lines,), "equations", options)


def _stated(problem: Problem) -> str:
    return f"Numbers: {', '.join(map(str, problem.numbers))}. Target: {problem.target}."


def _solved(problem: Problem) -> str:
    lines = "\n".join(problem.solution)
    return f"Worked problem. {_stated(problem)}\n{problem.search}\n<Solution>\n{lines}\n</Solution>"


def _break(wanted: object) -> str:
    return "\n\n" if wanted else ""
