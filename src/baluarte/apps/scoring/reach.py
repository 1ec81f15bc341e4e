"""From where a server can be reached, and the token that it prints for this machine alone."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence

import msgspec

from baluarte.core.accounts import mac_of
from baluarte.errors import ContractError, Fault

DAY_US = 86_400_000_000


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
        token_hash=mac_of(pepper, text.encode()),
        pepper=pepper,
        until_us=now_us + lives_us,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_guarded(
    host: str, *, tls: bool, keys: int, hosts: Sequence[str], platform: bool = False
) -> None:
    """Let an address through that only this machine reaches, or that is guarded in full.

    Args:
        platform: it runs as a platform's container: the platform ends TLS and lets callers in.

    Raises:
        ContractError: everything that is missing, at once, each with its cure.
    """
    if is_loopback(host) or platform:
        return
    faults = []

    def need(holds: object, where: str, what: str, cure: str) -> None:
        if not holds:
            message = f"an address that others reach, such as {host!r}, needs {what}; found none"
            faults.append(Fault(message, f"workspace.toml: {where}", cure))

    need(tls, "serve.tls", "a certificate and its key", "Name both in [serve.tls].")
    need(hosts, "serve.hosts", "the names that clients call it by", 'hosts = ["score.example.org"]')
    need(keys, "stores.accounts", "an API key that somebody holds", "`baluarte keys issue ACCOUNT`")
    if faults:
        raise ContractError.of(faults)
