"""Which devices tensors can lie on here."""

from __future__ import annotations

import torch

from farspan.errors import UsageError


def usable(name: str) -> str:
    """The device, if torch can put something there. Raises UsageError with the reason otherwise."""
    try:
        torch.device(name)
    except RuntimeError:
        raise UsageError(f"device {name!r} is unknown", fix="cpu, cuda, or cuda:1 for the second GPU") from None
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # an assertion where torch was built without
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise UsageError(f"device {name!r} cannot be used: {reason}", fix="cpu, or what farspan doctor lists") from None
    return name
