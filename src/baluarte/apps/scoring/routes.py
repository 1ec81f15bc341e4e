"""Every route of the data plane, and what a caller must be allowed to do to use it.

The door answers what stands here and nothing else, so that a route without an action can't be
forgotten: there is no other way in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from baluarte.apps.scoring.problem import Refusal
from baluarte.core.policy import Action

Scope = Literal["open", "own", "tenants", "detector", "sole", "decision", "account", "key"]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    Attributes:
        scope: whose the resource is: open to anyone; of the tenants that the caller reaches; of the
            detector that the path names, or of the one that a platform's protocol means without
            naming it; of the decision's detector; the account's, or the key's, that the path names;
            the caller's own.
        action: what the caller must be allowed; None only where the scope is open or own.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    scope: Scope
    action: Action | None = None
    loopback_open: bool = False  #: on a loopback address anyone may ask
    plain_errors: bool = False  #: its clients look for the reason under the key ``error``


ROUTES: tuple[Route, ...] = (
    Route(name="healthz", method="GET", path="/healthz", scope="open"),
    Route(name="readyz", method="GET", path="/readyz", scope="open"),
    Route(name="openapi", method="GET", path="/openapi.json", scope="open"),
    Route(
        name="metrics", method="GET", path="/metrics", scope="tenants", action="metrics.read",
        loopback_open=True,
    ),
    Route(
        name="decide", method="POST", path="/v1/detectors/{name}/decisions", scope="detector",
        action="decisions.create",
    ),
    Route(
        name="label", method="POST", path="/v1/detectors/{name}/labels", scope="detector",
        action="labels.create",
    ),
    Route(
        name="detectors", method="GET", path="/v1/detectors", scope="tenants",
        action="detectors.read",
    ),
    Route(
        name="detector", method="GET", path="/v1/detectors/{name}", scope="detector",
        action="detectors.read",
    ),
    Route(
        name="decision", method="GET", path="/v1/decisions/{name}", scope="decision",
        action="decisions.read",
    ),
)  # fmt: skip


def _model(name: str, method: Literal["GET", "POST"], path: str) -> tuple[Route, ...]:
    """A foreign protocol's route of a model, and of a version of it."""
    action: Action = "detectors.read" if method == "GET" else "decisions.create"
    before, mark, after = path.partition("{name}")
    return tuple(
        Route(
            name=name, method=method, path=each, scope="detector", action=action, plain_errors=True
        )
        for each in (path, f"{before}{mark}/versions/{{version}}{after}")
    )


ROUTES += (
    *_model("tensorflow_status", "GET", "/v1/models/{name}"),
    *_model("tensorflow_metadata", "GET", "/v1/models/{name}/metadata"),
    *_model("tensorflow_predict", "POST", "/v1/models/{name}:predict"),
    *_model("tensorflow_classify", "POST", "/v1/models/{name}:classify"),
    *_model("tensorflow_regress", "POST", "/v1/models/{name}:regress"),
    Route(name="inference_server", method="GET", path="/v2", scope="open"),
    Route(name="inference_live", method="GET", path="/v2/health/live", scope="open"),
    Route(name="inference_ready", method="GET", path="/v2/health/ready", scope="open"),
    *_model("inference_model", "GET", "/v2/models/{name}"),
    *_model("inference_model_ready", "GET", "/v2/models/{name}/ready"),
    *_model("inference_infer", "POST", "/v2/models/{name}/infer"),
    Route(name="sagemaker_ping", method="GET", path="/ping", scope="open"),
    Route(
        name="sagemaker_invocations", method="POST", path="/invocations", scope="sole",
        action="decisions.create", plain_errors=True,
    ),
    Route(name="azureml_live", method="GET", path="/", scope="open"),
    Route(
        name="azureml_score", method="POST", path="/score", scope="sole",
        action="decisions.create", plain_errors=True,
    ),
    Route(
        name="azureml_swagger", method="GET", path="/swagger.json", scope="sole",
        action="detectors.read", plain_errors=True,
    ),
)  # fmt: skip


class Found(NamedTuple):
    """A route, and what its path says."""

    route: Route
    name: str  #: empty where the path has none
    version: str  #: likewise


def _pattern(path: str) -> re.Pattern[str]:
    steps = re.escape(path).replace(r"\{name\}", r"(?P<name>[^/:]+)")
    return re.compile(steps.replace(r"\{version\}", r"(?P<version>[0-9]{1,9})"))


class Inventory:
    """The routes of a plane: what stands here is answered, and nothing else."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route, _pattern(route.path)) for route in routes]
        # the same few paths come again and again
        self._of_path = lru_cache(maxsize=4_096)(self._look)

    def find(self, method: str, path: str) -> Found:
        """The route of a request, and what its path says.

        Raises:
            Refusal: 404 where no route has the path, 405 where none of them has the method.
        """
        methods: dict[str, Found] = self._of_path(path)
        if not methods:
            raise Refusal("not_found")
        found = methods.get(method)
        if found is None:
            allowed = ", ".join(sorted(methods))
            raise Refusal("method_not_allowed", f"expected {allowed}", allow=allowed)
        return found

    def _look(self, path: str) -> dict[str, Found]:
        """What a path leads to, by method."""
        found: dict[str, Found] = {}
        for route, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                said = match.groupdict()
                found[route.method] = Found(route, said.get("name", ""), said.get("version", ""))
        return found


find = Inventory(ROUTES).find
