"""What tests of products share."""

from __future__ import annotations

import pytest
from torch import Tensor, nn


@pytest.fixture
def multiplied(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The weights that torch's linear function is called with from now on."""
    weights: list[Tensor] = []
    own = nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda x, w, b=None: (weights.append(w), own(x, w, b))[1])
    return weights
