"""Azure Machine Learning's scoring interface: ``/score`` and ``/swagger.json``.

A request says ``{"data": [...]}``, ``{"Inputs": {"data": [...]}}`` or, as MLflow models have it,
``{"input_data": {"columns": [...], "data": [[...]]}}``; the answer has the shape that goes with it.

Source: Azure Machine Learning inference HTTP server; "Deploy MLflow models to online endpoints".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from baluarte import __version__
from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.body import Row, check_n_rows, check_objects, parse_object
from baluarte.apps.scoring.problem import wrong_shape
from baluarte.apps.scoring.settings import Limits
from baluarte.core.schema import Field

Form = Literal["plain", "results"]
_TYPES = {"number": "number", "integer": "integer", "boolean": "boolean"}


def read(body: bytes, limits: Limits) -> tuple[Sequence[Row], Form]:
    """The events of a request, and the form of its answer.

    Raises:
        Refusal: 400 or 413, with the path of what is wrong.
    """
    said = parse_object(body, limits)
    said.pop("GlobalParameters", None)
    match list(said.items()):
        case [("data", list(rows))]:
            return check_objects(rows, "$.data", limits), "plain"
        case [("Inputs", {"data": list(rows)})]:
            return check_objects(rows, "$.Inputs.data", limits), "results"
        case [("input_data", {"columns": list(columns), "data": list(rows)})]:
            return _split(columns, rows, limits), "plain"
    raise wrong_shape(
        "$", "data, Inputs.data, or input_data with columns and data", ", ".join(said)
    )


def write(answers: Sequence[Answer], form: Form) -> bytes:
    """The body of the answer."""
    return msgspec.json.encode(answers if form == "plain" else {"Results": answers})


def swagger(name: str, fields: Sequence[Field]) -> bytes:
    """A description in Swagger 2.0, which this platform's tools read."""
    event = {
        "type": "object",
        "properties": {
            ".".join(f.keys): {"type": _TYPES.get(f.type, "string")} for f in fields if f.is_given
        },
    }
    request = {"type": "object", "properties": {"data": {"type": "array", "items": event}}}
    answer = {"type": "array", "items": {"type": "object"}}
    operation = {
        "operationId": "RunMLService",
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "parameters": [{"name": "data", "in": "body", "required": True, "schema": request}],
        "responses": {"200": {"description": "Decided and recorded", "schema": answer}},
    }
    return msgspec.json.encode(
        {
            "swagger": "2.0",
            "info": {"title": name, "version": __version__},
            "paths": {"/score": {"post": operation}},
        }
    )


def _split(columns: list[Any], rows: list[Any], limits: Limits) -> list[Row]:
    check_n_rows(len(rows), limits)
    path = "$.input_data"
    if not all(isinstance(name, str) for name in columns) or len(set(columns)) != len(columns):
        raise wrong_shape(f"{path}.columns", "names, each once", "other values")
    for i, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise wrong_shape(
                f"{path}.data[{i}]", f"a list of {len(columns)} values", "another value"
            )
    return [dict(zip(columns, row, strict=True)) for row in rows]
