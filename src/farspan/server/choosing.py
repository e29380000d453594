"""By which method and on what budget a request is answered."""

from __future__ import annotations

from dataclasses import dataclass

from farspan import readers
from farspan.engine import Session
from farspan.errors import UsageError
from farspan.methods import Method
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Options
from farspan.types import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The method and budget of requests that name none, and whether what exceeds the window is an error."""

    method: Method | Reader
    budget: Budget
    strict: bool = False

    def choose(self, options: Options) -> tuple[Method | Reader, Budget]:
        """The method and budget that a request wants. Raises MethodError and BudgetError."""
        method = self.method if options.method is None else readers.parse(options.method)
        return method, self.budget if options.budget is None else Budget.parse(options.budget)


def refuse_changes(options: Options, session: Session | ReaderSession) -> None:
    """A session keeps the method and budget that it was begun with. Raises UsageError where a request has others."""
    wanted = options.method and str(readers.parse(options.method))
    budget = options.budget and str(Budget.parse(options.budget))
    for name, asked, has in (("method", wanted, session.method), ("budget", budget, session.budget)):
        if asked and asked != str(has):
            raise UsageError(f"the session was begun with {name} {str(has)!r}, not {asked!r}", fix="leave it out")
