"""What is written beside the rows: what was measured, on what, with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from farspan import __version__
from farspan.evals.plan import Plan
from farspan.evals.subjects import Subject

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


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
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
    }


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


def versions() -> dict[str, str]:
    """The versions that a figure depends on."""
    found = {"farspan": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
