"""What /openapi.json says is what the server does: schemathesis asks what the document allows, and what not."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from farspan.server.api.app import create
from farspan.server.building import Settings
from tests.server.conftest import Running

DOCUMENT = create(Settings(folder=Path("never made"))).openapi()
ROUTES = [(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MOST_TOKENS = 2
LIMITS = {
    "/v1/chat/completions": ("max_completion_tokens", "max_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_does_what_the_document_says(server: Running, route: tuple[str, str], mode: GenerationMode) -> None:
    method, path = route
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]

    @given(st.data())
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        shorten(case)
        case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)

    with suppress(Unsatisfiable):  # a route that takes nothing has no wrong cases
        check()


def shorten(case: Any) -> None:
    """Have little written, where that is what the case leaves open."""
    for name in LIMITS.get(case.path, ()):
        if isinstance(case.body, dict) and isinstance(case.body.get(name) or MOST_TOKENS, int | float):
            case.body[name] = min(case.body.get(name) or MOST_TOKENS, MOST_TOKENS)
