"""Who may ask, and for which host: the checks before a request's body is looked at."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Sequence

import msgspec

from baluarte.apps.scoring.problem import Refusal
from baluarte.errors import ContractError

DAY_US = 86_400_000_000
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh token: the text for its owner, and what the server keeps of it."""

    text: str
    token_hash: bytes
    pepper: bytes
    until_us: int


def make_token(*, now_us: int, lives_us: int = DAY_US) -> Token:
    """A token of 256 random bits that holds for a day."""
    return token_of("blt_" + secrets.token_urlsafe(32), now_us=now_us, lives_us=lives_us)


def token_of(text: str, *, now_us: int, lives_us: int = DAY_US) -> Token:
    """The token with this text: what the server keeps of it is an HMAC under a fresh pepper."""
    pepper = secrets.token_bytes(32)
    return Token(
        text=text,
        token_hash=_hash(pepper, text.encode()),
        pepper=pepper,
        until_us=now_us + lives_us,
    )


def _hash(pepper: bytes, token: bytes) -> bytes:
    return hmac.digest(pepper, token, "sha256")


def require_loopback(host: str) -> None:
    """Let only loopback addresses through.

    Raises:
        ContractError: any other address; the guard that makes one safe is not there yet.
    """
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        raise ContractError(
            f"serve.host: expected a loopback address, found {host!r}",
            where="workspace.toml",
            hint="Keep 127.0.0.1: this release has no TLS, roles or keys of its own, which any "
            "other address needs; the guard of the data plane arrives with a later release.",
        )


class Guard:
    """Checks the host and the token of requests.

    Args:
        token_hash: HMAC-SHA-256 of the token under the pepper.
        until_us: microseconds of UTC from which the token holds no longer.
        port: the server's own, which a Host header may repeat.
    """

    def __init__(self, *, token_hash: bytes, pepper: bytes, until_us: int, port: int) -> None:
        self._token_hash = token_hash
        self._pepper = pepper
        self._until_us = until_us
        self._accepted = b""  # the header that was let in last: a comparison is quicker than a hash
        self._hosts = _LOOPBACK_NAMES | {f"{name}:{port}" for name in _LOOPBACK_NAMES}

    def check_host(self, hosts: Sequence[str], authority: str | None) -> None:
        """A rebound name or a second host ends here.

        Raises:
            Refusal: 400 for none or several hosts, 421 for a host that is not ours.
        """
        if len(hosts) != 1:
            raise Refusal("bad_host", f"expected one Host header, found {len(hosts)}")
        if hosts[0].lower() not in self._hosts or (
            authority is not None and authority.lower() not in self._hosts
        ):
            raise Refusal("misdirected", "expected a loopback name of this server")

    def check_token(self, authorization: str | None, *, now_us: int) -> None:
        """Compare in constant time.

        Raises:
            Refusal: 401, whatever is wrong.
        """
        given = (authorization or "").encode("utf-8", "surrogatepass")
        holds = now_us < self._until_us
        if holds and self._accepted and hmac.compare_digest(given, self._accepted):
            return
        scheme, _, token = given.partition(b" ")
        presented = _hash(self._pepper, token.strip())
        if (
            not hmac.compare_digest(presented, self._token_hash)
            or scheme.lower() != b"bearer"
            or not holds
        ):
            raise Refusal(
                "unauthorized",
                "expected the header Authorization: Bearer TOKEN, with the token that the server "
                "printed when it started; it holds for a day",
            )
        self._accepted = given
