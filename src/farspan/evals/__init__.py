"""Measuring which method holds up: tasks are run on a subject, every answer is kept as a row, rows become a report.

`evaluate` does it all for a loaded model. `run` measures a `Plan` into `Results`; `score` scores one reply; `merge`
makes one run of several.
"""

from __future__ import annotations

from farspan.evals.api import evaluate
from farspan.evals.merging import merge
from farspan.evals.plan import Plan
from farspan.evals.results import Results
from farspan.evals.runner import Outcome, run
from farspan.evals.scorers import Score, score

__all__ = ["Outcome", "Plan", "Results", "Score", "evaluate", "merge", "run", "score"]
