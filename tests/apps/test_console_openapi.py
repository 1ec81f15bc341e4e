"""docs/reference/console.openapi.json is what a console says of itself, and names every route."""

from __future__ import annotations

import json
from pathlib import Path

from test_scoring_openapi import references

from baluarte.apps.console.openapi import openapi, openapi_bytes
from baluarte.apps.console.problem import CODES
from baluarte.apps.console.routes import ROUTES, find

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "console.openapi.json"


def test_the_kept_document_is_the_generated_one() -> None:
    assert KEPT.read_bytes() == openapi_bytes(), (
        "run: python -m baluarte.apps.console.openapi > docs/reference/console.openapi.json"
    )


def test_the_document_has_every_route_of_the_inventory_and_no_other() -> None:
    said = {
        (method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods
    }
    assert said == {(route.method, route.path) for route in ROUTES}


def test_every_reference_leads_to_a_schema_and_no_operation_has_anothers_name() -> None:
    document = json.loads(openapi_bytes())
    schemas = document["components"]["schemas"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


def test_a_route_needs_a_caller_unless_it_is_open_to_anyone() -> None:
    document = openapi()
    assert document["security"] == [{"session": []}, {"key": []}]
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        assert (operation.get("security") == []) == (route.scope == "open")
        assert (route.action is None) == (route.scope in ("open", "own"))
        assert operation.get("x-action") == route.action
        path = route.path.replace("{name}", "flows").replace("{version}", "3")
        assert find(route.method, path).route is route


def test_what_changes_something_is_open_to_nobody_but_who_signs_in() -> None:
    assert [r.name for r in ROUTES if r.method == "POST" and r.scope == "open"] == ["sign_in"]


def test_every_status_of_a_problem_is_documented_somewhere() -> None:
    said = {
        int(status)
        for methods in openapi()["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert {status for status, _ in CODES.values()} - {405, 500} <= said
