"""Requests of all kinds that the OpenAPI document allows or forbids, made by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest.importorskip("schemathesis")
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from service import served, service

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def openapi() -> Iterator[object]:
    with served(service(max_body=1)) as address:
        yield schemathesis.openapi.from_url(f"http://{address.host}:{address.port}/openapi.json")


@schemathesis.pytest.from_fixture("openapi").parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_there_is_an_answer_as_described(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS)
