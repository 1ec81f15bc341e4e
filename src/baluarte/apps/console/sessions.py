"""A session in a browser: its cookie, and that a change comes from a page of ours.

Source: RFC 6265bis, sections 4.1.3 (``__Host-``) and 5.2 (SameSite); W3C Fetch Metadata; OWASP
Cross-Site Request Forgery Prevention.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from baluarte.apps.console.problem import Refused
from baluarte.apps.http.exchange import Headers
from baluarte.core.accounts import SESSION_US

SESSION = "__Host-baluarte"
FLOW = "__Host-baluarte-flow"  #: of a sign-in at a provider, on its way
TOKEN_HEADER = "x-baluarte-token"  # noqa: S105 - a header's name
FLOW_S = 600
_MAX_COOKIES = 16 << 10


def session_cookie(secret: str) -> tuple[str, str]:
    """The header that hands a session out; no script reads it and no other site sends it."""
    return _cookie(SESSION, secret, seconds=SESSION_US // 1_000_000, site="Strict")


def flow_cookie(sealed: str) -> tuple[str, str]:
    """The header that keeps a sign-in's secrets; the provider's answer comes from another site."""
    return _cookie(FLOW, sealed, seconds=FLOW_S, site="Lax")


def gone(name: str) -> tuple[str, str]:
    """The header that takes a cookie back."""
    return _cookie(name, "", seconds=0, site="Strict")


def _cookie(name: str, value: str, *, seconds: int, site: str) -> tuple[str, str]:
    kept = f"{name}={value}; Path=/; Secure; HttpOnly; SameSite={site}; Max-Age={seconds}"
    return "set-cookie", kept


def cookie(headers: Headers, name: str) -> str:
    """A cookie's value; empty where there is none, or more than one: then somebody planted one."""
    found = [
        value
        for header in headers.get_all("cookie")
        if len(header) <= _MAX_COOKIES
        for key, _, value in (part.strip().partition("=") for part in header.split(";"))
        if key == name
    ]
    return found[0] if len(found) == 1 else ""


def require_same_site(headers: Headers, origins: frozenset[str], *, by_key: bool) -> None:
    """Return if a change comes from a page of this console, or from a program with a key.

    Raises:
        Refused: 403.
    """
    if headers.get("sec-fetch-site") not in (None, "same-origin"):
        raise Refused("cross_site", "expected a request of the same origin")
    given: Sequence[str] = headers.get_all("origin")
    if not given and by_key:
        return
    if len(given) != 1 or given[0].lower() not in origins:
        raise Refused("cross_site", "expected the header Origin with this console's own")


def require_not_embedded(headers: Headers) -> None:
    """Return unless another site's page asks for something to use in itself.

    Raises:
        Refused: 403.
    """
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
        headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"
    ):
        raise Refused("cross_site", "expected a request of the same origin")


def require_token(headers: Headers, token: str) -> None:
    """Return if the request repeats the session's token.

    Raises:
        Refused: 403.
    """
    given = headers.get(TOKEN_HEADER) or ""
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        raise Refused("cross_site", f"expected the session's token in the header {TOKEN_HEADER}")
