"""The routes of other people's protocols, as the interface's own description tells them.

What their bodies look like is said by those protocols; here is which there are, who may use them,
and how they say no. Made from the inventory of routes, so that none is missing.
"""

from __future__ import annotations

from typing import Any

from baluarte.apps.scoring.routes import ROUTES, Route

_OWN = ("/v1/detectors", "/v1/decisions", "/healthz", "/readyz", "/metrics", "/openapi.json")
_SUMMARIES = {
    "tensorflow_status": "TensorFlow Serving: the version that decides",
    "tensorflow_metadata": "TensorFlow Serving: what goes in and comes out",
    "tensorflow_predict": "TensorFlow Serving: predict, by instances or inputs",
    "tensorflow_classify": "TensorFlow Serving: classify examples",
    "tensorflow_regress": "TensorFlow Serving: probabilities of examples",
    "inference_server": "Open Inference Protocol v2: the server",
    "inference_live": "Open Inference Protocol v2: the server lives",
    "inference_ready": "Open Inference Protocol v2: the server decides",
    "inference_model": "Open Inference Protocol v2: a model's tensors",
    "inference_model_ready": "Open Inference Protocol v2: the model decides",
    "inference_infer": "Open Inference Protocol v2: infer, in JSON or with raw tensors",
    "sagemaker_ping": "SageMaker: the container is healthy",
    "sagemaker_invocations": "SageMaker: decide, in JSON, JSON Lines or CSV",
    "azureml_live": "Azure Machine Learning: the container lives",
    "azureml_score": "Azure Machine Learning: decide",
    "azureml_swagger": "Azure Machine Learning: a description in Swagger 2.0",
}
_CONTENT = {
    "sagemaker_invocations": ("application/json", "application/jsonlines", "text/csv"),
    "inference_infer": ("application/json", "application/octet-stream"),
}
_REFUSALS = {
    "400": "The body is not what this protocol says, or a value is wrong.",
    "401": "The request has no valid key.",
    "403": "The key's account may not do this.",
    "404": "There is no such model, or not that version.",
    "408": "The body didn't come in time.",
    "413": "The body, or the number of events, is too large.",
    "415": "The body's content type is not known.",
    "422": "An event doesn't conform to the detector's schema.",
    "429": "The key asks too often, or its tenant's events of today are used up.",
    "503": "Nothing is decided now; try again.",
}
_ERROR = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error", "code"],
            "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
        }
    }
}


def foreign_paths() -> dict[str, Any]:
    """Paths of OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for route in ROUTES:
        if not route.path.startswith(_OWN):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


_VERSION = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


def _operation(route: Route) -> dict[str, Any]:
    of_version = "{version}" in route.path
    said: dict[str, Any] = {
        "operationId": route.name + ("_of_version" if of_version else ""),
        "summary": _SUMMARIES[route.name],
        "tags": [route.name.partition("_")[0]],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in (("name", {"type": "string"}), ("version", _VERSION))
        if f"{{{name}}}" in route.path
    ]
    if parameters:
        said["parameters"] = parameters
    content: dict[str, Any] = {kind: {} for kind in _CONTENT.get(route.name, ("application/json",))}
    if route.method == "POST":
        said["requestBody"] = {"required": True, "content": content}
    refusals = _REFUSALS if route.method == "POST" else {k: _REFUSALS[k] for k in ("404", "503")}
    if route.action is None:
        said["security"] = []
        refusals = {"503": _REFUSALS["503"]}
    elif route.method == "GET":
        refusals = {k: _REFUSALS[k] for k in ("401", "403", "404")}
    said["responses"] = {
        "200": {"description": "OK", "content": content},
        **{status: {"description": text, "content": _ERROR} for status, text in refusals.items()},
    }
    return said
