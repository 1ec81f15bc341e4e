"""One request that was let in, and what it says."""

from __future__ import annotations

from typing import Any, NamedTuple

from baluarte.apps.console.guard import Caller
from baluarte.apps.console.problem import Refused
from baluarte.apps.http.exchange import Headers
from baluarte.apps.scoring.routes import Route
from baluarte.core.policy import Principal

Reply = tuple[int, list[tuple[str, str]], bytes]  #: status, headers, body


class Asked(NamedTuple):
    """A request, its route, its caller and its body."""

    route: Route
    name: str  #: of the detector, account, key or provider that is meant; else empty
    version: int  #: in the path; else 0
    caller: Caller | None  #: None where anyone may ask and nobody said who they are
    headers: Headers
    query: str
    body: dict[str, Any]  #: of a change; else empty
    address: str  #: where it comes from

    @property
    def who(self) -> Principal:
        """Who asks.

        Raises:
            Refused: 401; the door has asked before, so it is our bug.
        """
        if self.caller is None:
            raise Refused("unauthorized")
        return self.caller.principal
