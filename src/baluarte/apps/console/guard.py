"""Who asks, from where, and what they may do: the checks before a request's body is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from baluarte.apps.console.problem import Refused
from baluarte.apps.console.sessions import (
    SESSION,
    cookie,
    require_not_embedded,
    require_same_site,
    require_token,
)
from baluarte.apps.http.exchange import Headers
from baluarte.apps.scoring.access import Access
from baluarte.apps.scoring.guard import Names, count
from baluarte.apps.scoring.rates import Rates
from baluarte.apps.scoring.reach import is_loopback
from baluarte.apps.scoring.routes import Route
from baluarte.core.policy import Action, Principal, Resource, permits, resources_of
from baluarte.ports import Clock
from baluarte.stages.access import Door

_ANOTHER = frozenset({"another person"})  #: no account can have that name
_UNAUTHORIZED = "expected a session's cookie, or the header Authorization: Bearer KEY"


class Caller(NamedTuple):
    """Who asks."""

    principal: Principal
    secret: str  #: of the session; empty for a key


class Guard:
    """Checks the host, the site, the caller and what the caller may do.

    Args:
        keys: followed in their store.
        secure: whether the console itself speaks TLS.
        tenants: of detectors that are not in the tenant ``default``.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        hosts: tuple[str, ...],
        secure: bool,
        door: Door,
        keys: Access,
        pepper: bytes,
        rates: Rates,
        clock: Clock,
        tenants: Mapping[str, str],
    ) -> None:
        self.names = Names(host, port, hosts)
        scheme = "https" if secure else "http"
        own = {f"{scheme}://{name}" for name in self.names.known}
        # A name that others call us by is a name of https, whoever ends TLS before us.
        named = {f"https://{name.lower()}" for name in hosts} if is_loopback(host) else set()
        self.origins = frozenset(own | named)
        self._door, self._keys, self._pepper = door, keys, pepper
        self._rates, self._clock, self._tenants = rates, clock, dict(tenants)

    def caller(self, headers: Headers) -> Caller | None:
        """Who asks: by a key that is shown, or else by a session; None for anyone.

        Raises:
            Refused: 401 for a key that doesn't hold.
            Refusal: 429 for one that asks too often.
        """
        shown = headers.get_all("authorization")
        if shown:
            return Caller(self._by_key(shown), "")
        secret = cookie(headers, SESSION)
        principal = self._door.of_session(secret) if secret else None
        return None if principal is None else Caller(principal, secret)

    def _by_key(self, shown: list[str]) -> Principal:
        scheme, _, text = shown[0].encode("utf-8", "surrogatepass").partition(b" ")
        holder = self._keys.holder(text.strip(), self._pepper)
        if (
            len(shown) != 1
            or scheme.lower() != b"bearer"
            or holder is None
            or self._clock.now_us() >= holder.key.until
        ):
            raise Refused("unauthorized", _UNAUTHORIZED)
        count(self._rates, holder)
        return holder.principal

    def check_site(self, route: Route, headers: Headers, caller: Caller | None) -> None:
        """Nothing is changed for another site's page, and nothing shown in it.

        Raises:
            Refused: 403.
        """
        if route.method == "POST":
            by_key = caller is not None and not caller.secret
            require_same_site(headers, self.origins, by_key=by_key)
            if caller is not None and caller.secret and route.scope != "open":
                require_token(headers, self._door.token_of(caller.secret))
        elif route.scope != "open":
            require_not_embedded(headers)

    def require_caller(self, caller: Caller | None) -> Principal:
        """Who asks.

        Raises:
            Refused: 401 for nobody.
        """
        if caller is None:
            raise Refused("unauthorized", _UNAUTHORIZED)
        return caller.principal

    def check_somewhere(self, who: Principal, action: Action) -> None:
        """Return if the caller may do that in any tenant at all.

        Raises:
            Refused: 403.
        """
        if not any(permits(who, action, resource) for resource in resources_of(who.grants)):
            raise Refused("forbidden", f"this needs the right to {action}")

    def check(self, who: Principal, action: Action, resource: Resource) -> None:
        """Return if the caller may do that to a detector, or to a version of it.

        Raises:
            Refused: 403; or 404 where the caller must not even learn that it is there.
        """
        if permits(who, action, resource):
            return
        if not permits(who, "detectors.read", resource):
            raise Refused("not_found", "there is no such detector")
        raise Refused("forbidden", f"this needs the right to {action}")

    def check_role(self, who: Principal, action: Action, detector: str) -> None:
        """Return if the caller's role allows that on a detector, whosever version it is.

        Raises:
            Refused: as :meth:`check`.
        """
        self.check(who, action, self.resource(detector, _ANOTHER))

    def resource(self, detector: str, authors: frozenset[str] = frozenset()) -> Resource:
        """A detector, or a version of it, as what is asked for."""
        return Resource(tenant=self.tenant(detector), detector=detector, authors=authors)

    def tenant(self, detector: str) -> str:
        """Whose a detector is."""
        return self._tenants.get(detector, "default")
