"""Every route of the data plane, and what a caller must be allowed to do to use it.

The door answers what stands here and nothing else, so that a route without an action can't be
forgotten: there is no other way in.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from baluarte.apps.scoring.problem import Refusal
from baluarte.core.policy import Action

Scope = Literal["open", "tenants", "detector", "decision"]
_NAME = "{name}"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    Attributes:
        scope: whose the resource is: open to anyone; of the tenants that the caller reaches; of the
            detector that the path names; of the decision's detector.
        action: what the caller must be allowed; None only where the scope is open.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    scope: Scope
    action: Action | None = None
    loopback_open: bool = False  #: on a loopback address anyone may ask


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


def _index() -> tuple[dict[str, dict[str, Route]], dict[tuple[str, str, int], dict[str, Route]]]:
    """Routes by whole path, and those with a name in it by what stands before and after."""
    whole: dict[str, dict[str, Route]] = {}
    named: dict[tuple[str, str, int], dict[str, Route]] = {}
    for route in ROUTES:
        before, mark, after = route.path.partition(_NAME)
        if mark:
            named.setdefault((before, after, route.path.count("/")), {})[route.method] = route
        else:
            whole.setdefault(route.path, {})[route.method] = route
    return whole, named


_WHOLE, _NAMED = _index()


def find(method: str, path: str) -> tuple[Route, str]:
    """The route, and the name in its path (empty where it has none).

    Raises:
        Refusal: 404 where no route has the path, 405 where none of them has the method.
    """
    methods, name = _WHOLE.get(path), ""
    if methods is None:
        steps = path.count("/")
        for (before, after, n), candidates in _NAMED.items():
            if n == steps and path.startswith(before) and path.endswith(after):
                methods, name = candidates, path[len(before) : len(path) - len(after)]
                break
    if methods is None or (not name and path not in _WHOLE):
        raise Refusal("not_found")
    route = methods.get(method)
    if route is None:
        allowed = ", ".join(sorted(methods))
        raise Refusal("method_not_allowed", f"expected {allowed}", allow=allowed)
    return route, name
