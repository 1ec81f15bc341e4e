"""Who may ask, and for which host: the checks before a request's body is looked at."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from baluarte.apps.scoring.access import Access, Holder
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.rates import Rates
from baluarte.apps.scoring.reach import is_loopback
from baluarte.apps.scoring.routes import Route
from baluarte.core.accounts import mac_of
from baluarte.core.policy import EVERY, Action, Grant, Principal, Resource, permits

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MOST_KNOWN = 4_096  #: headers that are remembered with who they stand for
_UNAUTHORIZED = (
    "expected the header Authorization: Bearer KEY, with a key that was issued to an account and "
    "still holds, or on a loopback address the token that the server printed when it started"
)
#: Whoever started a server on a loopback address uses it with the token that it printed.
OPERATOR = Principal(
    name="operator",
    kind="service",
    via="token",
    grants=(
        Grant(role="service", tenant=EVERY),
        Grant(role="analyst", tenant=EVERY),
    ),
    hands=frozenset(),
)


#: A platform that runs the server as its container asks for callers that it let in itself.
PLATFORM = Principal(
    name="platform",
    kind="service",
    via="token",
    grants=(Grant(role="service", tenant=EVERY),),
    hands=frozenset(),
)


class Names:
    """The names that a server answers for.

    Args:
        port: the server's own, which a Host header may repeat.
        hosts: further names, beside loopback's on a loopback address.
    """

    def __init__(self, host: str, port: int, hosts: Sequence[str]) -> None:
        own = (_LOOPBACK_NAMES if is_loopback(host) else frozenset()) | {n.lower() for n in hosts}
        self.known = own | {f"{name}:{port}" for name in own}

    def check(self, hosts: Sequence[str], authority: str | None) -> None:
        """A rebound name or a second host ends here.

        Raises:
            Refusal: 400 for none or several hosts, 421 for a host that is not ours.
        """
        require_one(hosts)
        if hosts[0].lower() not in self.known or (
            authority is not None and authority.lower() not in self.known
        ):
            raise Refusal("misdirected", "expected a name of this server")


def require_one(hosts: Sequence[str]) -> None:
    """Return if a request names one host.

    Raises:
        Refusal: 400.
    """
    if len(hosts) != 1:
        raise Refusal("bad_host", f"expected one Host header, found {len(hosts)}")


def count(rates: Rates, holder: Holder) -> None:
    """Count one request of a key.

    Raises:
        Refusal: 429 where it asks too often.
    """
    key = holder.key
    if key.rate_per_s is None:
        return
    burst = key.burst or max(1, round(key.rate_per_s))
    wait = rates.take(holder.slot, rate_per_s=key.rate_per_s, burst=burst)
    if wait is not None:
        raise Refusal(
            "too_many_requests",
            f"this key makes at most {key.rate_per_s:g} requests a second",
            retry_after_s=max(1, round(wait + 0.5)),
        )


class Guard:
    """Checks the host, the caller and what the caller may do.

    Args:
        token_hash: HMAC-SHA-256 of the server's own token under ``token_pepper``; it opens on a
            loopback address only.
        until_us: microseconds of UTC from which that token holds no longer.
        port: the server's own, which a Host header may repeat.
        hosts: further names that the server answers for.
        tenants: of detectors that are not in the tenant ``default``.
        rates: None counts no requests.
        platform: whether a platform that only reaches the server by its own network calls it.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        hosts: Sequence[str],
        token_hash: bytes,
        token_pepper: bytes,
        until_us: int,
        access: Access,
        pepper: bytes,
        tenants: Mapping[str, str],
        rates: Rates | None,
        platform: bool = False,
    ) -> None:
        self._platform = platform
        self._token_hash = token_hash
        self._token_pepper = token_pepper
        self._until_us = until_us if is_loopback(host) else 0
        self._access = access
        self._pepper = pepper
        self._tenants = dict(tenants)
        self._rates = rates
        self._generation = -1
        self._known: dict[str, Holder | None] = {}  # None: the server's own token
        self._may: dict[tuple[str, str, Action, str | None], bool] = {}
        self._names = Names(host, port, hosts)
        self.name = min(self._names.known, default="localhost")  #: one that it answers for
        self.is_local = is_loopback(host)  #: only this machine reaches the server

    def check_host(self, hosts: Sequence[str], authority: str | None) -> None:
        """A rebound name or a second host ends here.

        Raises:
            Refusal: 400 for none or several hosts, 421 for a host that is not ours.
        """
        if self._platform:
            require_one(hosts)
        else:
            self._names.check(hosts, authority)

    def admit(
        self, authorization: str | None, *, now_us: int, by_platform: bool = False
    ) -> Principal:
        """Who asks, by the header; a request of theirs is counted.

        Args:
            by_platform: whether the route is one that a platform calls for its own callers.

        Raises:
            Refusal: 401, whatever is wrong; 429 for a key that asks too often.
        """
        if by_platform and authorization is None and self._platform:
            return PLATFORM
        caller, holder = self.who(authorization, now_us=now_us)
        self.count(holder)
        return caller

    def who(self, authorization: str | None, *, now_us: int) -> tuple[Principal, Holder | None]:
        """Who asks, by the header, and whose key it is; None: the server's own token.

        Raises:
            Refusal: 401, whatever is wrong.
        """
        if self._generation != self._access.generation:
            self._generation = self._access.generation
            self._known.clear()
            self._may.clear()
        given = authorization or ""
        if given in self._known:
            holder = self._known[given]
        else:
            holder = self._identify(given.encode("utf-8", "surrogatepass"), now_us)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[given] = holder
        if now_us >= (self._until_us if holder is None else holder.key.until):
            raise Refusal("unauthorized", _UNAUTHORIZED)
        return (OPERATOR, None) if holder is None else (holder.principal, holder)

    def count(self, holder: Holder | None) -> None:
        """Count a request of a key.

        Raises:
            Refusal: 429 for a key that asks too often.
        """
        if holder is not None and self._rates is not None:
            count(self._rates, holder)

    def check(self, caller: Principal, route: Route, detector: str | None) -> None:
        """Return if the caller may use the route on the detector.

        Raises:
            Refusal: 403; or 404 where the caller must not even learn that it is there.
        """
        if route.action is None or self.may(caller, route.action, detector):
            return
        if detector is not None and not self.may(caller, "detectors.read", detector):
            raise Refusal("not_found", "there is no such detector")
        raise Refusal("forbidden", f"this needs the right to {route.action}")

    def may(self, caller: Principal, action: Action, detector: str | None) -> bool:
        """Whether the caller may do that to a detector, or (None) in any tenant at all."""
        question = (caller.name, caller.key, action, detector)
        known = self._may.get(question)
        if known is None:
            resources = (
                [Resource(tenant=self.tenant(detector), detector=detector)]
                if detector is not None
                else [
                    Resource(tenant=grant.tenant, detector=one)
                    for grant in caller.grants
                    for one in (grant.detectors or (None,))
                ]
            )
            known = any(permits(caller, action, resource) for resource in resources)
            if len(self._may) >= _MOST_KNOWN:
                self._may.clear()
            self._may[question] = known
        return known

    def tenant(self, detector: str) -> str:
        """Whose a detector is."""
        return self._tenants.get(detector, "default")

    def spend(self, detector: str, n: int) -> None:
        """Count events of the detector's tenant.

        Raises:
            Refusal: 429 where its day's events are used up.
        """
        wait = self._access.use(self.tenant(detector), n)
        if wait is not None:
            raise Refusal(
                "quota_used_up",
                "the tenant's events of today are used up",
                retry_after_s=max(1, round(wait)),
            )

    def _identify(self, given: bytes, now_us: int) -> Holder | None:
        """Whose header it is; None for the server's own token.

        Raises:
            Refusal: 401.
        """
        scheme, _, shown = given.partition(b" ")
        shown = shown.strip()
        if scheme.lower() == b"bearer" and shown:
            own = hmac.compare_digest(mac_of(self._token_pepper, shown), self._token_hash)
            if own and now_us < self._until_us:
                return None
            holder = self._access.holder(shown, self._pepper)
            if holder is not None:
                return holder
        raise Refusal("unauthorized", _UNAUTHORIZED)
