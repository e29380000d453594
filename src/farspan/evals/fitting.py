"""Which methods can run at all on a subject and budget: found before anything is measured, not row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farspan.errors import FarspanError
from farspan.evals.runner import Tell
from farspan.evals.subjects import Subject


@dataclass(frozen=True, slots=True)
class Fitting:
    """The methods that can run, and of those that cannot, why."""

    methods: tuple[str, ...]
    refused: Mapping[str, FarspanError] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of the others cannot run, and what would let it."""
        return {name: str(error) for name, error in self.refused.items()}

    def tell(self, warn: Tell) -> None:
        """A line for every method that is left out."""
        for name, why in self.reasons.items():
            warn(f"left out: {name}: {why}")


def fitting(subject: Subject, methods: Sequence[str], budget: str) -> Fitting:
    """Open an empty reading by every method. Raises the error of the first one when none can be opened."""
    refused: dict[str, FarspanError] = {}
    for method in methods:
        try:
            with subject.read("", method, budget):
                pass
        except FarspanError as error:
            refused[method] = error
    if refused and len(refused) == len(methods):
        raise _none_of(refused)
    return Fitting(tuple(name for name in methods if name not in refused), refused)


def _none_of(refused: Mapping[str, FarspanError]) -> FarspanError:
    name, error = next(iter(refused.items()))
    if len(refused) == 1:
        return error
    return type(error)(f"none of the {len(refused)} methods can run; the first, {name}: {error.message}", fix=error.fix)
