"""Error finding: numbered exercises with their answers, of which about a tenth are wrong; the wrong ones are asked for.

What LongIns calls GIST (one instruction at the top), LIST (the instruction with every exercise) and LIMT (exercises of
many kinds, each with its own instruction).
"""

from __future__ import annotations

import random

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material import exercises
from farspan.tasks.material.exercises import Exercise

CARD = Card(
    scope="all",
    diffusion="computed",
    version=2,
    source="LongIns (Gavin et al. 2024), with exercises of our own; several turns ask for a part of the numbers each",
    chance=0.08,
    presets={
        "longins_gist": {"kind": "gist"},
        "longins_list": {"kind": "list"},
        "longins_limt": {"kind": "limt"},
    },
)
_KINDS = ("gist", "list", "limt")


def make(rng: random.Random, space: Space, *, kind: str = "gist", wrong: float = 0.1, turns: int = 1) -> Sample:
    """As many exercises as fit, each wrong with a chance of `wrong`; every turn asks for a part of the numbers.

    Parts follow one another, and each holds at least one wrong answer. Raises UsageError for a kind or a share that
    there is not.
    """
    check_choice("error_finding", "kind", kind, _KINDS)
    if not 0 <= wrong < 1:
        raise UsageError(f"a share of {wrong} cannot be wrong", fix="from 0 up to, but not, 1")
    only, seed = rng.choice(exercises.KINDS), rng.getrandbits(64)
    drawn: list[Exercise] = []

    def build(units: int) -> Sample:
        while len(drawn) < units:
            drawn.append(exercises.draw(rng, rng.choice(exercises.KINDS) if kind == "limt" else only))
        return _page(drawn[:units], _wrong(seed, units, wrong, turns), kind, turns)

    return stack(space, build, least=2 * turns)


def _parts(units: int, turns: int) -> list[range]:
    return [range(turn * units // turns, (turn + 1) * units // turns) for turn in range(turns)]


def _wrong(seed: int, units: int, share: float, turns: int) -> set[int]:
    """Which ones are wrong, from 0 on: at least one in every part."""
    rng = random.Random(seed)
    forced = [part[int(rng.random() * len(part))] for part in _parts(units, turns)]
    wrong = {i for i in range(units) if rng.random() < share}
    return wrong | {one for one, part in zip(forced, _parts(units, turns), strict=True) if wrong.isdisjoint(part)}


def _page(shown: list[Exercise], wrong: set[int], kind: str, turns: int) -> Sample:
    page = Page()
    page.add(shown[0].kind.instruction if kind == "gist" else "Exercises and answers:")
    for i, one in enumerate(shown):
        page.add("\n" + _line(i + 1, one, i in wrong, kind != "gist"))
    asked = tuple(_turn(part, wrong) for part in _parts(len(shown), turns))
    return page.sample(asked, exercises=len(shown), wrong=len(wrong))


def _line(number: int, exercise: Exercise, is_wrong: bool, instructed: bool) -> str:
    told = f"{exercise.kind.instruction} " if instructed else ""
    return f"{number}. {told}{exercise.question} Answer: {exercise.wrong if is_wrong else exercise.right}"


def _turn(part: range, wrong: set[int]) -> Turn:
    numbers = [str(i + 1) for i in part if i in wrong]
    query = f"Which of the answers {part.start + 1} to {part.stop} are wrong? List their numbers, such as [4, 19]."
    return Turn(query, f" [{', '.join(numbers)}]", tuple(numbers), "set_f1", {"whole_numbers": True})
