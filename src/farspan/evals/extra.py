"""Libraries that only the measuring suite needs: imported when first used, with a plain word when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from farspan.errors import UsageError


def need(name: str) -> Any:
    """The module of that name. Raises UsageError that says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UsageError(f"the evaluation needs {package}", fix="pip install 'farspan[eval]'") from error
