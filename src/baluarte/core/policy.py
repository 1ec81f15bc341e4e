"""Who may do what: roles, grants, tenants and four eyes. Deny is the default.

A request is permitted where one of the caller's grants covers the resource's tenant and detector
and its role allows the action. An approval asks for more: the approver must be a person in a
session of their own, and nobody who had a hand in the version - who trained it, sealed it, or ever
held the credentials of an account that did - may give it, through whatever account.

Source: NIST SP 800-53 rev. 5, AC-3, AC-5 and AC-6; the tests compare this page with Cedar.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

Role = Literal["viewer", "analyst", "engineer", "approver", "auditor", "admin", "service"]
Action = Literal[
    "detectors.read",
    "evidence.read",
    "alarms.read",
    "metrics.read",
    "decisions.create",
    "decisions.read",
    "labels.create",
    "labels.read",
    "versions.approve",
    "versions.promote",
    "versions.rollback",
    "ledger.read",
    "people.export",
    "people.erase",
    "accounts.read",
    "accounts.change",
    "keys.read",
    "keys.change",
]
Kind = Literal["person", "service"]
Via = Literal["session", "key", "token"]

ROLES: tuple[Role, ...] = get_args(Role)
ACTIONS: tuple[Action, ...] = get_args(Action)
EVERY = "*"  #: a grant for every tenant

_LOOK: frozenset[Action] = frozenset(
    {"detectors.read", "evidence.read", "alarms.read", "metrics.read"}
)

#: What each role allows. A role that is added here is a column of the matrix in the tests.
MATRIX: dict[Role, frozenset[Action]] = {
    "viewer": _LOOK,
    "analyst": _LOOK | {"decisions.read", "labels.create", "labels.read", "ledger.read"},
    "engineer": _LOOK
    | {"decisions.read", "labels.create", "labels.read", "versions.promote", "versions.rollback"},
    "approver": _LOOK
    | {"decisions.read", "labels.read", "ledger.read", "versions.approve", "versions.rollback"},
    "auditor": _LOOK
    | {
        "decisions.read", "labels.read", "ledger.read", "people.export", "accounts.read",
        "keys.read",
    },
    "admin": frozenset(
        {
            "detectors.read", "metrics.read", "people.erase", "accounts.read", "accounts.change",
            "keys.read", "keys.change",
        }
    ),
    "service": frozenset({"decisions.create", "labels.create", "detectors.read", "metrics.read"}),
}  # fmt: skip

#: Roles that no account holds together with ``admin``: who hands out rights doesn't use them.
APART_FROM_ADMIN: frozenset[Role] = frozenset({"engineer", "approver", "service"})
#: Only a person in a session of their own does these; a key or a token can't stand in.
IN_PERSON: frozenset[Action] = frozenset(
    {"versions.approve", "people.erase", "accounts.change", "keys.change"}
)


class Grant(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A role in a tenant; of all its detectors, or of those that are named."""

    role: Role
    tenant: str  #: a tenant's name, or ``*`` for every one
    detectors: tuple[str, ...] = ()  #: none named: all of the tenant

    def covers(self, tenant: str, detector: str | None) -> bool:
        """Whether it reaches a resource. Without a detector the resource is the tenant itself."""
        if self.tenant not in (EVERY, tenant):
            return False
        return not self.detectors or (detector is not None and detector in self.detectors)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as a guard established it.

    Attributes:
        name: the account's.
        hands: every person who holds or ever held the account's credentials: its owner, whoever
            made it, whoever ever set its password or issued the key that is used.
        key: id of the key that was shown, for limits and the log.
    """

    name: str
    kind: Kind
    via: Via
    grants: tuple[Grant, ...]
    hands: frozenset[str]
    key: str = ""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        detector: None for what belongs to the tenant as a whole.
        authors: of a version: who trained and sealed it, by the names of their accounts, and every
            hand behind these.
    """

    tenant: str
    detector: str | None = None
    authors: frozenset[str] = frozenset()


def permits(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether the caller may do that to it."""
    if not any(
        action in MATRIX[grant.role] and grant.covers(resource.tenant, resource.detector)
        for grant in principal.grants
    ):
        return False
    if action in IN_PERSON and not (principal.kind == "person" and principal.via == "session"):
        return False
    if action == "versions.approve":
        eyes = principal.hands | {principal.name}
        return bool(resource.authors) and not eyes & resource.authors
    return True


def resources_of(grants: Iterable[Grant]) -> list[Resource]:
    """What some grants reach, which is what an account that holds them belongs to.

    An account without grants belongs to the workspace as a whole.
    """
    reached = [
        Resource(tenant=grant.tenant, detector=detector)
        for grant in grants
        for detector in (grant.detectors or (None,))
    ]
    return reached or [Resource(tenant=EVERY)]


def rules_over(principal: Principal, action: Action, grants: Iterable[Grant]) -> bool:
    """Whether the caller may do that to all that these grants reach.

    Who hands out rights in one tenant touches no account that reaches into another.
    """
    return all(permits(principal, action, resource) for resource in resources_of(grants))


def faults_of_grants(kind: Kind, grants: Iterable[Grant]) -> list[str]:
    """What is wrong with the grants of one account; nothing where they can stand together."""
    roles = {grant.role for grant in grants}
    faults = []
    if "admin" in roles and roles & APART_FROM_ADMIN:
        clash = ", ".join(sorted(roles & APART_FROM_ADMIN))
        faults.append(f"admin hands out rights and can't hold {clash} too")
    if kind == "service" and roles - {"service", "viewer", "auditor"}:
        wrong = ", ".join(sorted(roles - {"service", "viewer", "auditor"}))
        faults.append(f"a service account can be service, viewer or auditor, not {wrong}")
    if kind == "person" and "service" in roles:
        faults.append("a person can't be a service; make a service account")
    return faults
