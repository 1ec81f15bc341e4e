"""docs/reference/openapi.json is what a server says of itself, and names all that is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from baluarte.apps.scoring.openapi import openapi, openapi_bytes
from baluarte.apps.scoring.problem import CODES
from baluarte.apps.scoring.routes import ROUTES

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_kept_document_is_the_generated_one() -> None:
    assert KEPT.read_bytes() == openapi_bytes(), (
        "run: python -m baluarte.apps.scoring.openapi > docs/reference/openapi.json"
    )


def test_every_reference_leads_to_a_schema() -> None:
    document = json.loads(openapi_bytes())
    schemas = document["components"]["schemas"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}
    assert {"Answer", "DecisionRecord", "DetectorInfo", "Problem", "Readiness"} <= set(schemas)


def test_every_status_of_a_problem_is_documented_where_decisions_are_made() -> None:
    said = set(openapi()["paths"]["/v1/detectors/{name}/decisions"]["post"]["responses"])
    assert {str(status) for status, _ in CODES.values()} - {"405", "500"} <= said


def test_only_what_tells_nothing_of_events_is_open_without_a_token() -> None:
    document = openapi()
    open_paths = {
        path
        for path, methods in document["paths"].items()
        for route in methods.values()
        if route.get("security") == []
    }
    assert document["security"] == [{"token": []}]
    assert open_paths == {
        "/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/ping", "/v2", "/v2/health/live",
        "/v2/health/ready",
    }  # fmt: skip


def test_the_document_has_every_route_of_the_inventory_and_no_other() -> None:
    said = {
        (method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods
    }
    own = {(r.method, r.path.replace("/v1/decisions/{name}", "/v1/decisions/{id}")) for r in ROUTES}
    assert said == own


def test_no_operation_has_anothers_name() -> None:
    names = [
        operation["operationId"]
        for methods in openapi()["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))
