"""baluarte.core.policy: deny by default, and Cedar answers the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.policy import (
    ACTIONS,
    EVERY,
    IN_PERSON,
    MATRIX,
    ROLES,
    Action,
    Grant,
    Principal,
    Resource,
    faults_of_grants,
    permits,
)

TENANTS = ("cards", "nets", "mail")
DETECTORS = ("fraud", "flows")
PEOPLE = ("ana", "bea", "eva")
RULES = (Path(__file__).parent / "policy.cedar").read_text("utf-8")


def person(*grants: Grant, **changes: object) -> Principal:
    made = Principal(
        name="bea", kind="person", via="session", grants=grants, hands=frozenset({"bea", "root"})
    )
    return msgspec.structs.replace(made, **changes)


def drawn(rng: np.random.Generator) -> tuple[Principal, Action, Resource]:
    """A request out of every corner: several grants, other tenants, authors that overlap."""

    def some(of: tuple[str, ...], most: int) -> tuple[str, ...]:
        return tuple(str(x) for x in rng.choice(of, size=rng.integers(0, most + 1)))

    grants = tuple(
        Grant(
            role=ROLES[rng.integers(len(ROLES))],
            tenant=str(rng.choice((*TENANTS, EVERY))),
            detectors=some(DETECTORS, 2) if rng.random() < 0.4 else (),
        )
        for _ in range(rng.integers(0, 4))
    )
    principal = Principal(
        name=str(rng.choice(PEOPLE)),
        kind="person" if rng.random() < 0.7 else "service",
        via=("session", "key", "token")[rng.integers(3)],
        grants=grants,
        hands=frozenset(some(PEOPLE, 2)),
    )
    resource = Resource(
        tenant=str(rng.choice(TENANTS)),
        detector=str(rng.choice(DETECTORS)) if rng.random() < 0.8 else None,
        authors=frozenset(some((*PEOPLE, "eli", "root"), 3)),
    )
    return principal, ACTIONS[rng.integers(len(ACTIONS))], resource


def as_cedar(number: int, asked: tuple[Principal, Action, Resource]) -> tuple[dict, list]:
    """The same question for Cedar: which roles reach the resource is data, not rule."""
    principal, action, resource = asked
    roles = sorted(
        {
            grant.role
            for grant in principal.grants
            if grant.tenant in (EVERY, resource.tenant)
            and (not grant.detectors or resource.detector in grant.detectors)
        }
    )
    eyes = sorted(principal.hands | {principal.name})
    attributes = {
        "U": {"kind": principal.kind, "via": principal.via, "eyes": eyes},
        "R": {"roles": roles, "authors": sorted(resource.authors)},
    }
    request = {
        "principal": f'U::"{number}"',
        "action": f'Action::"{action}"',
        "resource": f'R::"{number}"',
    }
    entities = [
        {"uid": {"type": kind, "id": str(number)}, "attrs": attrs, "parents": []}
        for kind, attrs in attributes.items()
    ]
    return request, entities


def agree_on(n: int, seed: int) -> tuple[int, list[object]]:
    """How many requests of ``n`` were permitted, and those on which the two differ."""
    import cedarpy

    rng = np.random.Generator(np.random.PCG64(seed))
    permitted, differing = 0, []
    for _ in range(0, n, 200):
        asked = [drawn(rng) for _ in range(200)]
        questions = [as_cedar(number, one) for number, one in enumerate(asked)]
        answers = cedarpy.is_authorized_batch(
            [request for request, _ in questions],
            RULES,
            [entity for _, entities in questions for entity in entities],
        )
        ours = [permits(*one) for one in asked]
        permitted += sum(ours)
        differing += [one for one, a, b in zip(asked, ours, answers, strict=True) if a != b.allowed]
    return permitted, differing


def test_cedar_answers_3000_random_requests_alike() -> None:
    permitted, differing = agree_on(3_000, seed=1)
    assert differing == []
    assert permitted > 200  # and not because everything is denied


@pytest.mark.soak
def test_cedar_answers_100000_random_requests_alike() -> None:
    permitted, differing = agree_on(100_000, seed=2)
    assert differing == []
    assert permitted > 10_000


def test_who_has_no_grant_may_nothing() -> None:
    for action in ACTIONS:
        assert not permits(person(), action, Resource(tenant="cards", detector="fraud"))


@given(st.sampled_from(ROLES), st.sampled_from(ACTIONS), st.sampled_from(TENANTS))
def test_no_role_reaches_into_another_tenant(role: str, action: Action, tenant: str) -> None:
    grant = Grant(role=role, tenant="elsewhere")
    resource = Resource(tenant=tenant, detector="fraud", authors=frozenset({"ana"}))
    assert not permits(person(grant), action, resource)


def test_a_grant_for_one_detector_neither_reaches_another_nor_the_tenant_as_a_whole() -> None:
    caller = person(Grant(role="viewer", tenant="cards", detectors=("fraud",)))
    reached = [
        permits(caller, "detectors.read", Resource(tenant="cards", detector=name))
        for name in ("fraud", "flows", None)
    ]
    assert reached == [True, False, False]


def test_every_action_is_allowed_by_some_role_and_every_role_allows_some() -> None:
    assert set().union(*MATRIX.values()) == set(ACTIONS)
    assert all(MATRIX[role] for role in ROLES)


def test_an_auditor_changes_nothing() -> None:
    changing = {a for a in ACTIONS if a.split(".")[1] not in ("read", "export")}
    assert not MATRIX["auditor"] & changing


@pytest.mark.parametrize("action", sorted(IN_PERSON))
def test_neither_a_key_nor_a_token_nor_a_service_does_what_only_a_person_does(
    action: Action,
) -> None:
    grants = tuple(Grant(role=role, tenant=EVERY) for role in ROLES)
    resource = Resource(tenant="cards", detector="fraud", authors=frozenset({"ana"}))
    assert permits(person(*grants), action, resource)
    for changes in ({"via": "key"}, {"via": "token"}, {"kind": "service"}):
        assert not permits(person(*grants, **changes), action, resource)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ana"},  # the author
        {"hands": frozenset({"bea", "ana"})},  # the author made the account, or set its password
        {"name": "ana2", "hands": frozenset({"ana"})},  # an account of the author's
    ],
)
def test_an_author_approves_through_no_account(changes: dict[str, object]) -> None:
    approver = person(Grant(role="approver", tenant="cards"))
    version = Resource(tenant="cards", detector="fraud", authors=frozenset({"ana"}))
    assert permits(approver, "versions.approve", version)
    assert not permits(msgspec.structs.replace(approver, **changes), "versions.approve", version)


def test_a_version_without_authors_is_approved_by_nobody() -> None:
    approver = person(Grant(role="approver", tenant=EVERY))
    assert not permits(approver, "versions.approve", Resource(tenant="cards", detector="fraud"))


def test_grants_that_can_not_stand_together_are_named() -> None:
    admin = Grant(role="admin", tenant="cards")
    engineer = Grant(role="engineer", tenant="nets")
    service = Grant(role="service", tenant="cards")
    assert faults_of_grants("person", [admin]) == []
    assert "engineer" in faults_of_grants("person", [admin, engineer])[0]
    assert "person" in faults_of_grants("person", [service])[0]
    assert "admin" in faults_of_grants("service", [admin])[0]
