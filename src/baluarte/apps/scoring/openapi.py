"""The interface's own description, OpenAPI 3.1, made from the very types that are answered."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from baluarte import __version__
from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.body import ARROW_STREAM
from baluarte.apps.scoring.foreign_openapi import foreign_paths
from baluarte.apps.scoring.label_intake import LabelsTaken
from baluarte.apps.scoring.problem import CODES, CONTENT_TYPE, Problem
from baluarte.apps.scoring.reports import Readiness
from baluarte.core.decision import DecisionRecord
from baluarte.core.schema import Field


class DetectorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A detector and the version of it that decides.

    Attributes:
        thresholds: of each outcome, in score units; an event is in the highest outcome whose
            threshold its score is strictly above; the lowest has none.
    """

    name: str
    version: int
    bundle: str
    purpose: str
    outcomes: tuple[str, ...]
    thresholds: tuple[int | None, ...]
    fields: tuple[Field, ...]


def openapi_bytes() -> bytes:
    """The document as it is served, and as ``docs/reference/openapi.json`` keeps it."""
    return msgspec.json.format(msgspec.json.encode(openapi()), indent=2) + b"\n"


_EVENT = {
    "type": "object",
    "description": "One event: the fields of the detector's schema, as `GET /v1/detectors/{name}` "
    "lists them; a missing value is null or left out.",
}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def openapi() -> dict[str, Any]:
    """The document; the same for every server of this release."""
    types = (Answer, DecisionRecord, DetectorInfo, LabelsTaken, Problem, Readiness)
    _, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Baluarte data plane",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Events in, decisions out. Every decision is recorded; with durability "
            "`commit` its record is durable before it is answered, and with no room to record "
            "there is no decision. An event that is sent again with its id and its values gets "
            f"its first decision. A problem carries one of the codes {', '.join(CODES)}.",
        },
        "security": [{"token": []}],
        "paths": {
            "/v1/detectors/{name}/decisions": {"post": _decisions()},
            "/v1/detectors/{name}/labels": {"post": _labels()},
            "/v1/detectors": {
                "get": _get("detectors", "All detectors that decide", _array("DetectorInfo"))
            },
            "/v1/detectors/{name}": {
                "get": _get("detector", "One detector", _ref("DetectorInfo"), _NAME, errors=(404,))
            },
            "/v1/decisions/{id}": {
                "get": _get(
                    "decision",
                    "The durable record of one decision, as the ledger holds it",
                    _ref("DecisionRecord"),
                    {**_NAME, "name": "id"},
                    errors=(404,),
                )
            },
            "/healthz": {"get": _open("healthz", "The process lives", {"type": "object"})},
            "/readyz": {
                "get": _open("readyz", "A champion is in and can record", _ref("Readiness"), 503)
            },
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _open("openapi", "This document", {"type": "object"})},
            **foreign_paths(),
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _decisions() -> dict[str, Any]:
    lines = {"type": "string", "description": "One JSON object a line."}
    columns = {
        "type": "string",
        "format": "binary",
        "description": "A column a field, of a server that has the extra `files`.",
    }
    events = {"oneOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1}]}
    answers = {"oneOf": [_ref("Answer"), _array("Answer")]}
    return {
        "operationId": "decide",
        "summary": "Decide events: an object, an array, lines or Arrow; the answer is likewise",
        "parameters": [
            _NAME,
            {
                "name": "reasons",
                "in": "query",
                "description": "For which events the answer says why.",
                "schema": {"enum": ["alerts", "all", "none"], "default": "alerts"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": events},
                "application/x-ndjson": {"schema": lines},
                ARROW_STREAM: {"schema": columns},
            },
        },
        "responses": {
            "200": {
                "description": "Decided and recorded",
                "content": {
                    "application/json": {"schema": answers},
                    "application/x-ndjson": {"schema": lines},
                    ARROW_STREAM: {"schema": columns},
                },
            },
            **_problems(400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 503),
        },
    }


def _labels() -> dict[str, Any]:
    label = {
        "type": "object",
        "required": ["event_id", "label"],
        "properties": {
            "event_id": {"type": "string"},
            "label": {
                "description": "1 or 0, or a value of the contract's label rule.",
                "type": ["string", "integer", "boolean"],
            },
            "at": {"description": "When it was said; else now.", "type": ["string", "number"]},
            "source": {"description": "Who said it; else `api`.", "type": "string"},
        },
        "additionalProperties": False,
    }
    lines = {"type": "string", "description": "One JSON object a line."}
    labels = {"oneOf": [label, {"type": "array", "items": label, "minItems": 1}]}
    return {
        "operationId": "label",
        "summary": "Take labels in; all of them are recorded and kept, or none",
        "parameters": [_NAME],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": labels},
                "application/x-ndjson": {"schema": lines},
            },
        },
        "responses": {
            **_ok(_ref("LabelsTaken")),
            **_problems(400, 401, 403, 404, 408, 413, 415, 421, 422, 429, 503),
        },
    }


def _get(
    name: str,
    summary: str,
    schema: dict[str, Any],
    *parameters: object,
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {**_ok(schema), **_problems(401, 403, *errors, 421)},
    }


def _open(name: str, summary: str, schema: dict[str, Any], *also: int) -> dict[str, Any]:
    """A route that needs no token."""
    other = {str(status): _ok(schema)["200"] for status in also}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {**_ok(schema), **other, **_problems(421)},
    }


def _metrics() -> dict[str, Any]:
    route = _open("metrics", "Figures of all workers, for Prometheus", {})
    route["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return route


def _ok(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


def _problems(*statuses: int) -> dict[str, Any]:
    titles = {
        status: " ".join(title for code_status, title in CODES.values() if code_status == status)
        for status in statuses
    }
    return {
        str(status): {
            "description": titles[status],
            "content": {CONTENT_TYPE: {"schema": _ref("Problem")}},
        }
        for status in statuses
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


if __name__ == "__main__":
    sys.stdout.buffer.write(openapi_bytes())
