"""TensorFlow Serving's REST interface: predict, classify, regress, status, metadata.

An instance is an event: an object of named values. In the column form each field is a list.

Source: TensorFlow Serving, RESTful API (``/v1/models/…``), as of version 2.18.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from baluarte.apps.scoring.answer import Answer
from baluarte.apps.scoring.body import Row, check_n_rows, check_objects, parse_object
from baluarte.apps.scoring.problem import wrong_shape
from baluarte.apps.scoring.settings import Limits
from baluarte.core.schema import Field

Verb = Literal["predict", "classify", "regress"]
Form = Literal["rows", "columns", "classes", "values"]
SIGNATURE = "serving_default"
_OUTPUTS = {
    "id": "DT_STRING", "event_id": "DT_STRING", "outcome": "DT_STRING", "points": "DT_INT64",
    "score": "DT_INT64", "probability": "DT_DOUBLE",
}  # fmt: skip
_TYPES = {"number": "DT_DOUBLE", "integer": "DT_INT64", "boolean": "DT_BOOL"}


def read(body: bytes, verb: Verb, limits: Limits) -> tuple[Sequence[Row], Form]:
    """The events of a request, and the form that its answer takes.

    Raises:
        Refusal: 400, 413 or 422, with the path of what is wrong.
    """
    said = parse_object(body, limits)
    signature = said.pop("signature_name", SIGNATURE)
    if signature not in ("", SIGNATURE):
        raise wrong_shape(
            "$.signature_name", f'"{SIGNATURE}"', msgspec.json.encode(signature).decode()
        )
    if verb == "predict":
        given = said.keys() & {"instances", "inputs"}
        if len(said) != 1 or not given:
            raise wrong_shape(
                "$", "either instances or inputs", ", ".join(sorted(said)) or "neither"
            )
        if "instances" in said:
            return _objects(said["instances"], "$.instances", limits), "rows"
        return rows_of_columns(said["inputs"], "$.inputs", limits), "columns"
    context = said.pop("context", {})
    if not isinstance(context, dict) or said.keys() != {"examples"}:
        raise wrong_shape("$", "examples, and an object as context", ", ".join(sorted(said)))
    examples = _objects(said["examples"], "$.examples", limits)
    form: Form = "classes" if verb == "classify" else "values"
    return [{**context, **example} for example in examples], form


def rows_of_columns(columns: object, path: str, limits: Limits) -> list[Row]:
    """One object a row of named lists of equal length.

    Raises:
        Refusal: they are no such lists.
    """
    if not isinstance(columns, dict) or not columns:
        raise wrong_shape(path, "an object of lists, one a field", "another value")
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise wrong_shape(path, "lists of one length", "lists of several, or other values")
    check_n_rows(lengths.pop(), limits)
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def write(answers: Sequence[Answer], form: Form) -> bytes:
    """The body of the answer."""
    if form == "classes":
        results = [
            [["attack", one.probability], ["other", 1.0 - one.probability]] for one in answers
        ]
        return msgspec.json.encode({"results": results})
    if form == "values":
        return msgspec.json.encode({"results": [one.probability for one in answers]})
    if form == "columns":
        columns = {name: [getattr(one, name) for one in answers] for name in _OUTPUTS}
        return msgspec.json.encode({"outputs": columns})
    rows = [{name: getattr(one, name) for name in _OUTPUTS} for one in answers]
    return msgspec.json.encode({"predictions": rows})


def status(version: int) -> bytes:
    """The state of the version that decides."""
    state = {
        "version": str(version),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return msgspec.json.encode({"model_version_status": [state]})


def metadata(name: str, version: int, fields: Sequence[Field]) -> bytes:
    """The signature: what goes in, and what comes out."""
    inputs = {
        ".".join(field.keys): _tensor(_TYPES.get(field.type, "DT_STRING"), ".".join(field.keys))
        for field in fields
        if field.is_given
    }
    outputs = {output: _tensor(kind, output) for output, kind in _OUTPUTS.items()}
    signature = {
        "inputs": inputs,
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    return msgspec.json.encode(
        {
            "model_spec": {"name": name, "signature_name": "", "version": str(version)},
            "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
        }
    )


def _tensor(kind: str, name: str) -> Mapping[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": kind, "tensor_shape": shape, "name": name}


def _objects(given: object, path: str, limits: Limits) -> list[Row]:
    if not isinstance(given, list):
        raise wrong_shape(path, "a list of objects", "another value")
    return check_objects(given, path, limits)
