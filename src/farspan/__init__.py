"""farspan lets an open-weight language model read and remember text of any length on a fixed memory budget.

The public names are imported on first use, so that `import farspan` costs next to nothing and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farspan import errors, methods, readers
    from farspan.engine import Model, Session, load
    from farspan.engine.together import together
    from farspan.methods import Method
    from farspan.readers import open_session as open
    from farspan.types import Budget, Counts, Progress, Size, Source, Usage

__version__ = "0.1.0"

_HOMES = {
    "Budget": "farspan.types:Budget",
    "Counts": "farspan.types:Counts",
    "Method": "farspan.methods:Method",
    "Model": "farspan.engine:Model",
    "Progress": "farspan.types:Progress",
    "Session": "farspan.engine:Session",
    "Size": "farspan.types:Size",
    "Source": "farspan.types:Source",
    "Usage": "farspan.types:Usage",
    "errors": "farspan.errors:",
    "load": "farspan.engine:load",
    "methods": "farspan.methods:",
    "open": "farspan.readers:open_session",
    "readers": "farspan.readers:",
    "together": "farspan.engine.together:together",
}

__all__ = [
    "Budget",
    "Counts",
    "Method",
    "Model",
    "Progress",
    "Session",
    "Size",
    "Source",
    "Usage",
    "__version__",
    "errors",
    "load",
    "methods",
    "open",
    "readers",
    "together",
]


def __getattr__(name: str) -> Any:
    """Import the public name `name` from its home (PEP 562) and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'farspan' has no attribute {name!r}")
    module_name, _, attribute = _HOMES[name].partition(":")
    module = importlib.import_module(module_name)
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
