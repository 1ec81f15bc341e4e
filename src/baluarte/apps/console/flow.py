"""A sign-in at a provider: sent there with a secret in a cookie, and what comes back is held to it.

The cookie holds provider, state, nonce and PKCE verifier, sealed; an answer counts only in the
browser that was sent, for the provider it was sent to, within ten minutes, and once: the cookie is
taken back with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

import msgspec

from baluarte.adapters.oidc import challenge_of
from baluarte.adapters.sealing import SealingKey
from baluarte.apps.console.problem import Refused
from baluarte.apps.console.sessions import FLOW_S
from baluarte.apps.console.settings import ProviderSettings
from baluarte.apps.scoring.body import query_of
from baluarte.core.accounts import Account
from baluarte.core.identity import identity_of
from baluarte.errors import BaluarteError, TrustError
from baluarte.ports import Accounts, Clock, Entropy, IdentityProvider
from baluarte.stages.access import Access
from baluarte.stages.admit import admit, provider_actor

_CONTEXT = b"sign-in at a provider"
_MAX_QUERY = 8 << 10


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in on its way."""

    provider: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    until: int


class Flows:
    """Begins and ends sign-ins at providers.

    Args:
        providers: by name.
        access_for: what changes accounts on behalf of an actor.
    """

    def __init__(
        self,
        providers: Mapping[str, tuple[ProviderSettings, IdentityProvider]],
        *,
        accounts: Accounts,
        access_for: Callable[[str], Access],
        clock: Clock,
        entropy: Entropy,
        pepper: bytes,
    ) -> None:
        self._providers = dict(providers)
        self._accounts, self._access_for = accounts, access_for
        self._clock, self._entropy = clock, entropy
        self._key = SealingKey("flow", hmac.digest(pepper, _CONTEXT, "sha256"))

    def start(self, name: str, *, origin: str) -> tuple[str, str]:
        """(where to send the person, the cookie's value).

        Args:
            origin: this console's, as the browser called it.

        Raises:
            Refused: there is no such provider.
            BaluarteError: the provider is away, or doesn't hold.
        """
        _, provider = self._known(name)
        state, nonce, verifier = (self._entropy.token(32).hex() for _ in range(3))
        flow = Flow(
            provider=name,
            state=state,
            nonce=nonce,
            verifier=verifier,
            redirect_uri=f"{origin}/v1/providers/{name}/callback",
            until=self._clock.now_us() + FLOW_S * 1_000_000,
        )
        place = provider.authorize(
            redirect_uri=flow.redirect_uri,
            state=state,
            nonce=nonce,
            challenge=challenge_of(verifier),
        )
        return place, self._key.seal(msgspec.json.encode(flow), _CONTEXT).hex()

    def finish(self, name: str, query: str, sealed: str) -> Account:
        """The account of who comes back.

        Raises:
            Refused: the answer is not one to a question of this browser, or lets nobody in.
            OutsideError: the provider is away.
        """
        settings, provider = self._known(name)
        said = _query_of(query)
        flow = self._opened(sealed)
        if (
            flow is None
            or flow.provider != name
            or flow.until <= self._clock.now_us()
            or not hmac.compare_digest(said.get("state", "").encode(), flow.state.encode())
        ):
            raise Refused("not_let_in", "the sign-in was begun elsewhere, or too long ago")
        if not said.get("code"):
            raise Refused("not_let_in", "the provider let nobody in")
        try:
            claims = provider.redeem(
                said["code"],
                issuer=said.get("iss"),
                redirect_uri=flow.redirect_uri,
                verifier=flow.verifier,
                nonce=flow.nonce,
            )
            identity = identity_of(claims, name=settings.name_claim, groups=settings.groups_claim)
            return admit(
                identity,
                provider=name,
                by_group=settings.by_group,
                accounts=self._accounts,
                access=self._access_for(provider_actor(name)),
            )
        except TrustError as error:
            raise _told(error) from error

    def _known(self, name: str) -> tuple[ProviderSettings, IdentityProvider]:
        found = self._providers.get(name)
        if found is None:
            raise Refused("not_found", "there is no such provider")
        return found

    def _opened(self, sealed: str) -> Flow | None:
        try:
            plain = self._key.open(bytes.fromhex(sealed), _CONTEXT)
            return msgspec.json.decode(plain, type=Flow)
        except (TrustError, ValueError):
            return None


def _query_of(query: str) -> dict[str, str]:
    """What a provider answers; a key that comes twice counts as none."""
    if len(query) > _MAX_QUERY:
        raise Refused("bad_query", "expected a shorter one")
    pairs = query_of(query, most=16)
    keys = [key for key, _ in pairs]
    return {key: value for key, value in pairs if keys.count(key) == 1}


def _told(error: BaluarteError) -> Refused:
    """The person learns that they aren't let in; the log learns why."""
    refused = Refused("not_let_in", "the provider's answer lets nobody in here")
    refused.__cause__ = error
    return refused
