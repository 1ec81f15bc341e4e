"""One request that was let in, and what an answer is made of."""

from __future__ import annotations

from typing import NamedTuple

from baluarte.apps.http.exchange import HTTPProtocol, Scope
from baluarte.apps.scoring.routes import Route
from baluarte.core.policy import Principal

JSON = [("content-type", "application/json")]
Reply = tuple[int, list[tuple[str, str]], bytes]  #: status, headers, body


class Asked(NamedTuple):
    """A request, its route and its caller."""

    route: Route
    name: str  #: of the detector or decision that is meant; empty where the route has none
    version: str  #: in the path, likewise
    caller: Principal | None  #: None where anyone may ask
    scope: Scope
    protocol: HTTPProtocol
