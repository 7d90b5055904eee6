"""Requests of all kinds that the OpenAPI document allows or forbids, made by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

pytest.importorskip("schemathesis")
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from service import served, service

CHECKS: list[Any] = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def openapi() -> Iterator[Any]:
    with served(service(max_body=1)) as address:
        yield schemathesis.openapi.from_url(f"http://{address.host}:{address.port}/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/v1/annotate"),
        ("post", "/v1/convert"),
        ("post", "/v1/evaluate"),
        ("get", "/v1/models"),
        ("get", "/v1/types"),
        ("get", "/metrics"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/"),
    ],
)
def test_whatever_is_sent_there_is_an_answer_as_described(
    openapi: Any, method: str, path: str, mode: GenerationMode
) -> None:
    if method == "get" and mode is GenerationMode.NEGATIVE:
        return  # nothing is sent that could be wrong

    @given(case=openapi[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=30 if method == "post" else 2, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
