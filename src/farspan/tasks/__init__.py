"""Tasks that measure what is found in a long context: one module a family, found by its file name.

A family is a module with a `CARD` and a function, `make(rng, space, **knobs) -> Sample`, or for sets of files (in
`tasks.sets`) `read(path, **knobs) -> Iterator[Sample]`. The same generators make the bundled model's training
documents and the demo. Others are taken from the entry points of group `farspan.tasks`. No torch here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from farspan.errors import UsageError, nearest
from farspan.tasks import sets
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.expression import split
from farspan.tasks.kit.fillers import Filler, Synthetic, Text
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn
from farspan.tasks.kit.space import Count, Frame, Space, TooShort
from farspan.tasks.kit.task import Task

__all__ = [
    "Card",
    "Count",
    "Filler",
    "Frame",
    "Sample",
    "Segment",
    "Space",
    "Span",
    "Synthetic",
    "Task",
    "Text",
    "TooShort",
    "Turn",
    "family",
    "get",
    "idea",
    "knobs",
    "names",
    "needs",
    "parse",
    "presets",
]

_GROUP = "farspan.tasks"
_ROOM = ("rng", "space")
_KINDS: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}


def names() -> list[str]:
    """The names of all families, generated ones and sets of files, sorted."""
    return sorted(_loaders())


@cache
def _loaders() -> Mapping[str, Callable[[], ModuleType]]:
    """What loads each family; those of entry points go before our own. Looked for once."""
    own = {
        module.name: partial(importlib.import_module, f"{package}.{module.name}")
        for package, path in ((__name__, __path__), (sets.__name__, sets.__path__))
        for module in pkgutil.iter_modules(path)
        if not module.ispkg
    }
    return {**own, **{point.name: point.load for point in entry_points(group=_GROUP)}}


@cache
def presets() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Other names of families with knobs set, such as RULER's `niah_multikey_2`: name -> (family, knobs)."""
    return {name: (one, preset) for one in names() for name, preset in family(one).CARD.presets.items()}


def family(name: str) -> ModuleType:
    """The module of a family. Raises UsageError for an unknown one."""
    if name not in _loaders():
        raise UsageError(f"no task is called {name!r}", fix=nearest(name, names()))
    return _loaders()[name]()


def get(name: str, /, **given: Any) -> Task:
    """The task of that name, a family or a preset, with knobs. Raises UsageError for an unknown name or knob."""
    if name not in _loaders() and name not in presets():
        raise UsageError(f"no task is called {name!r}", fix=nearest(name, [*names(), *presets()]))
    base, preset = (name, {}) if name in _loaders() else presets()[name]
    knobs_set = {**preset, **given}
    _check_knobs(name, base, knobs_set)
    module = family(base)
    make, read = getattr(module, "make", None), getattr(module, "read", None)
    kept = name if all(knobs_set[knob] == value for knob, value in preset.items()) else base
    return Task(name=kept, family=base, card=module.CARD, knobs=knobs_set, make=make, read=read)


def _check_knobs(name: str, base: str, given: Mapping[str, Any]) -> None:
    known = {knob: usual for knob, _, usual in knobs(base)}
    module = family(base)
    written = inspect.signature(getattr(module, "make", None) or module.read).parameters
    for knob, value in given.items():
        if knob not in known:
            raise UsageError(f"{name} has no knob {knob!r}", fix=nearest(knob, known) if known else "give none")
        words = [word.strip() for word in str(written[knob].annotation).split("|")]
        kinds = tuple(kind for word in words for kind in _KINDS.get(word, ()))
        if kinds and type(value) not in kinds:
            raise UsageError(f"{name}: {knob} cannot be {value!r}", fix=f"give something like {knob}={known[knob]!r}")
        least = 1 if knob == "turns" and known[knob] else 0
        if isinstance(value, int) and value < least:
            raise UsageError(f"{name}: {knob} cannot be {value}", fix=f"give {least} or more")
    for knob in needs(base):
        if knob not in given:
            raise UsageError(f"{name} needs {knob}", fix=f"write {name}({knob}=...)")


def parse(text: str) -> Task:
    """Read `"needle(needles=4)"` or a preset's name. Raises UsageError that quotes what cannot be understood."""
    name, given = split(text)
    return get(name, **given)


def knobs(name: str) -> list[tuple[str, bool, Any]]:
    """The knobs of a family: name, whether it must be given, and its value otherwise."""
    module = family(name)
    parameters = inspect.signature(getattr(module, "make", None) or module.read).parameters.values()
    return [(one.name, one.default is one.empty, one.default) for one in parameters if one.name not in _ROOM]


def needs(name: str) -> list[str]:
    """The knobs of a family that must be given, such as the path of a set of files."""
    return [knob for knob, needed, _ in knobs(name) if needed]


def idea(name: str) -> str:
    """The first line of a family's documentation: its title and its idea."""
    return (family(name).__doc__ or "").strip().splitlines()[0]
