"""An OpenID provider: where to send a person, and what the token that comes back says of them.

Code flow with PKCE, state and nonce. What is asked stands on the issuer's own host or on one that
was named, over TLS 1.3 (plain HTTP on this machine only), and redirects end there. Extra ``oidc``.

Source: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3; Discovery 1.0; RFC 7636 (PKCE); RFC 8725
(JWT best practices); RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from baluarte.adapters.outward import outward_tls
from baluarte.errors import OutsideError, TrustError
from baluarte.ports import Clock

_TIMEOUT_S = 5.0
_MAX_BYTES = 1 << 20
_MAX_TOKEN = 1 << 16
_LEEWAY_S = 60  #: between its clock and ours
_KEEP_US = 3_600_000_000  #: how long what it says of itself is believed
_AWAY_US = 5_000_000  #: how long one that didn't answer, or not soundly, isn't asked again
_AGAIN_US = 60_000_000  #: between two looks for a key that isn't there


def challenge_of(verifier: str) -> str:
    """What is sent ahead of a verifier: S256 of RFC 7636, section 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class OpenIdProvider:
    """Meets :class:`baluarte.ports.IdentityProvider`.

    Args:
        secret: None for a public client; PKCE is used either way.
        algorithms: by which a token may be signed.
        hosts: that its endpoints may stand on, beside the issuer's.
        ca: file of the authorities that are believed instead of the system's.

    Raises:
        OutsideError: joserfc isn't installed.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        secret: str | None,
        algorithms: Sequence[str],
        clock: Clock,
        hosts: Sequence[str] = (),
        scopes: Sequence[str] = (),
        ca: str | None = None,
    ) -> None:
        try:
            from joserfc import jwk, jwt  # noqa: PLC0415 - only who uses a provider pays
            from joserfc.errors import JoseError  # noqa: PLC0415 - likewise
        except ImportError as error:
            raise OutsideError(
                "signing in by a provider needs joserfc, which isn't installed",
                hint="pip install 'baluarte[oidc]'",
            ) from error
        self._jwk, self._jwt, self._jose_error = jwk, jwt, JoseError
        self._issuer, self._client_id, self._secret = issuer, client_id, secret
        self._algorithms, self._clock = list(algorithms), clock
        self._scopes = ("openid", *scopes)
        own = urlsplit(issuer)
        self._plain = own.scheme == "http"
        self._hosts = {own.netloc.lower(), *(host.lower() for host in hosts)}
        self._tls = outward_tls(ca, where="console.providers.NAME.ca")
        self._lock = threading.Lock()
        self._said: dict[str, Any] = {}
        self._said_at = self._keys_at = -_KEEP_US
        self._away_at = -_AWAY_US
        self._keys: Any = None

    def authorize(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where to send the person.

        Raises:
            OutsideError: the provider is away.
            TrustError: what it says of itself doesn't hold.
        """
        place = self._place("authorization_endpoint")
        asked = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": redirect_uri,
                "scope": " ".join(self._scopes),
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{place}{'&' if '?' in place else '?'}{asked}"

    def redeem(
        self, code: str, *, issuer: str | None, redirect_uri: str, verifier: str, nonce: str
    ) -> Mapping[str, object]:
        """The verified claims of the token that a code stands for.

        Args:
            issuer: that the answer named, if it did.
            verifier: whose challenge was sent ahead.
            nonce: that was sent ahead.

        Raises:
            OutsideError: the provider is away, or doesn't take the code.
            TrustError: the token isn't by this provider, for us, in time, and for this request.
        """
        said = self._discovered()
        named = issuer is not None or said.get("authorization_response_iss_parameter_supported")
        if named and issuer != self._issuer:
            raise TrustError("the answer is another provider's")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self._client_id,
        }
        answer = self._post(self._place("token_endpoint"), form, said)
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > _MAX_TOKEN:
            raise TrustError("expected an ID token from the provider, found none")
        return self._verified(token, nonce)

    # --- the token ----------------------------------------------------------------------------

    def _verified(self, token: str, nonce: str) -> Mapping[str, object]:
        try:
            try:
                found = self._jwt.decode(token, self._key_set(), algorithms=self._algorithms)
            except self._jose_error:  # perhaps by a key that is newer than what we know
                if not self._forget_keys():
                    raise
                found = self._jwt.decode(token, self._key_set(), algorithms=self._algorithms)
            self._jwt.JWTClaimsRegistry(
                now=self._clock.now_us() // 1_000_000,
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self._issuer},
                aud={"essential": True, "value": self._client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            ).validate(found.claims)
        except (self._jose_error, ValueError, TypeError) as error:
            raise TrustError(
                f"the provider's token doesn't hold: {type(error).__name__}"
            ) from error
        claims: dict[str, object] = found.claims
        sent = claims.get("nonce")
        if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), nonce.encode()):
            raise TrustError("the provider's token is of another request")
        audience = claims["aud"]
        if isinstance(audience, list) and audience != [self._client_id]:
            raise TrustError("the provider's token is for others, too")
        if claims.get("azp", self._client_id) != self._client_id:
            raise TrustError("the provider's token was issued to another party")
        return claims

    def _key_set(self) -> Any:
        with self._lock:
            now = self._clock.now_us()
            if self._keys is None or now - self._keys_at >= _KEEP_US:
                keys: Any = self._get(self._place("jwks_uri"))
                try:
                    self._keys = self._jwk.KeySet.import_key_set(keys)
                except (self._jose_error, KeyError, TypeError, ValueError) as error:
                    raise TrustError("the provider's keys can't be read") from error
                self._keys_at = now
            return self._keys

    def _forget_keys(self) -> bool:
        """Whether it was time to look for new ones."""
        with self._lock:
            if self._clock.now_us() - self._keys_at < _AGAIN_US:
                return False
            self._keys = None
            return True

    # --- what it says of itself ---------------------------------------------------------------

    def _discovered(self) -> dict[str, Any]:
        now = self._clock.now_us()
        if not self._said or now - self._said_at >= _KEEP_US:
            if now - self._away_at < _AWAY_US:
                raise OutsideError(
                    "the provider didn't answer a moment ago", where=self._issuer, retryable=True
                )
            self._away_at = now
            said = self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if said.get("issuer") != self._issuer:
                raise TrustError(
                    f"expected the issuer {self._issuer}, found {said.get('issuer')!r}"
                )
            methods = said.get("code_challenge_methods_supported", ["S256"])
            if "S256" not in methods:
                raise TrustError("the provider doesn't know S256 of PKCE")
            self._said, self._said_at, self._away_at = said, now, -_AWAY_US
        return self._said

    def _place(self, name: str) -> str:
        """An endpoint's address, if it stands where it may."""
        place = self._discovered().get(name)
        parts = urlsplit(place) if isinstance(place, str) else urlsplit("")
        if parts.scheme != ("http" if self._plain else "https") or (
            parts.netloc.lower() not in self._hosts
        ):
            host = parts.netloc[:100] or "no host"
            raise TrustError(
                f"the provider's {name} stands on {host!r}, which is not among its hosts",
                hint="Name it in console.providers.NAME.hosts if that is right.",
            )
        return str(place)

    # --- asking -------------------------------------------------------------------------------

    def _get(self, place: str) -> dict[str, Any]:
        return self._ask("GET", place, None, {})

    def _post(self, place: str, form: dict[str, str], said: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if self._secret is not None and "client_secret_basic" in methods:
            pair = f"{quote(self._client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif self._secret is not None:
            form = {**form, "client_secret": self._secret}
        return self._ask("POST", place, urlencode(form), headers)

    def _ask(
        self, method: str, place: str, body: str | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
            if self._plain
            else http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self._tls)
        )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, path, body, {"accept": "application/json", **headers})
            answer = connection.getresponse()
            content = answer.read(_MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise OutsideError(
                f"the provider doesn't answer: {error}", where=self._issuer, retryable=True
            ) from error
        finally:
            connection.close()
        if answer.status != http.client.OK or len(content) > _MAX_BYTES:
            raise OutsideError(
                f"the provider answered {answer.status} where 200 was expected",
                where=f"{self._issuer}: {parts.path}",
            )
        try:
            said = json.loads(content)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise OutsideError("the provider's answer is no JSON object", where=self._issuer)
        return said
