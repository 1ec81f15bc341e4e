"""What a control plane is started with: plain values, so that they travel to its worker process."""

from __future__ import annotations

import msgspec

from baluarte.apps.numerals import Language
from baluarte.apps.scoring.settings import Limits, Listens
from baluarte.core.policy import Grant


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One OpenID provider."""

    name: str  #: in the workspace, and in the paths of its routes
    issuer: str
    client_id: str
    client_secret: str | None
    algorithms: tuple[str, ...]
    hosts: tuple[str, ...]
    scopes: tuple[str, ...]
    name_claim: str
    groups_claim: str
    by_group: dict[str, tuple[Grant, ...]]
    ca: str | None


class ConsoleSettings(Listens, frozen=True, kw_only=True):
    """Where a control plane finds its stores, and whom it lets in."""

    registry: str  #: address of the registry
    stores_password: str | None
    bundles: str
    ledger: str
    trusted: str  #: folder of the trusted public keys
    accounts: str  #: address of the store of accounts
    pepper: bytes  #: under which the store keeps keys and sessions
    tenants: dict[str, str]  #: of detectors that are not in the tenant ``default``
    approvals: int  #: that a promotion needs
    passwords: bool = True  #: whether people sign in by passwords
    providers: tuple[ProviderSettings, ...] = ()
    language: Language = "en"
    max_open: int = 256  #: requests that are answered at the same time
    max_hashing: int = 2  #: passwords that are looked at at the same time: each takes 64 MiB
    max_outward: int = 2  #: questions to providers at the same time
    max_waiting: int = 16  #: requests that wait for one of those; more is 503, for these alone
    body_s: float = 10.0  #: in which a body must have come
    limits: Limits = Limits(max_body_bytes=64 << 10, max_body_parts=64, max_depth=8)
