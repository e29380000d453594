"""What is written beside the rows: what was measured, on what, with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from farspan import __version__
from farspan.evals.plan import Plan
from farspan.evals.subjects import Subject

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_EXTENT = ("tasks", "methods", "lengths", "modes")
_ORIGIN = ("command", "revision", "machine", "versions")


def describe(plan: Plan, subject: Subject) -> dict[str, Any]:
    """The configuration of a run: `identity` must be equal for rows to be put together, the rest tells a reader."""
    return {
        "identity": {**subject.facts(), **plan.identity(), "farspan": __version__},
        "plan": {
            "tasks": list(plan.tasks),
            "methods": list(plan.methods),
            "lengths": list(plan.lengths),
            "budget": plan.budget,
            "questions": plan.questions,
            "turns": plan.turns,
            "modes": list(plan.modes),
            "baselines": plan.baselines,
            "stop_below": plan.stop_below,
        },
        "versions": versions(),
        "revision": revision(),
        "machine": machine(),
    }


def joined(configs: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """One configuration for rows of several runs, given with the folders that they were measured in.

    It is the last one, its plan with the tasks, methods, lengths and ways of asking of all; `runs` says what each was
    measured by where that differs.
    """
    last = configs[-1][1]
    plan = dict(last["plan"])
    for name in _EXTENT:
        plan[name] = list(dict.fromkeys(value for _, config in configs for value in config["plan"][name]))
    plan["baselines"] = any(config["plan"].get("baselines") for _, config in configs)
    refused = {method: why for _, config in configs for method, why in config.get("left_out", {}).items()}
    whole = {
        **last,
        "plan": plan,
        "left_out": {name: why for name, why in refused.items() if name not in plan["methods"]},
    }
    origins: list[dict[str, Any]] = []
    for folder, config in configs:
        single = {"folder": folder, **{name: config[name] for name in _ORIGIN if name in config}}
        origins += [origin for origin in config.get("runs", [single]) if origin not in origins]
    if len(origins) == 1:
        return whole
    return {**{name: value for name, value in whole.items() if name not in _ORIGIN}, "runs": origins}


def difference(folder: object, config: Mapping[str, Any], other: object, other_config: Mapping[str, Any]) -> str:
    """The first thing in which two runs differ so that their rows cannot be put together, as a sentence; or nothing."""
    kept, new = config["identity"], other_config["identity"]
    for name in dict.fromkeys([*kept, *new]):
        if kept.get(name) != new.get(name):
            return f"{folder} was measured with {name} {kept.get(name)!r}, {other} with {new.get(name)!r}"
    return ""


def revision() -> str:
    """The commit that farspan runs from; empty where it is not a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> dict[str, Any]:
    """What times depend on: the system, the instructions that torch uses, cores, and Python."""
    from torch.backends.cpu import get_cpu_capability

    return {
        "system": platform.platform(),
        "cpu": get_cpu_capability(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions that a figure depends on."""
    found = {"farspan": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
