"""What a reader's session is made with, and stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from farspan.engine import Model
from farspan.engine.retelling import check_budget
from farspan.readers.kit.reader import Reader, Strategy
from farspan.types import Budget


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Model, reader, and the budget of what an answer is told; `strategy` has the numbers that hang on the model."""

    model: Model
    method: Reader
    budget: Budget
    strategy: Strategy

    @classmethod
    def of(cls, model: Model, method: Reader, budget: Budget) -> Self:
        """Those of a reader with this model.

        Raises MethodError for a layer that the model does not have, BudgetError for a budget that is too small.
        """
        check_budget(model, budget)
        return cls(model, method, budget, method.strategy.resolve(model))
