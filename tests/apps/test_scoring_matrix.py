"""Route × role × tenant, on a running server: who may do what, and who may not even know."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scoring_ground import Server, Workplace, on_the_wire

from baluarte import wiring
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.scoring.routes import ROUTES, Route
from baluarte.core.accounts import parse_grant
from baluarte.core.policy import MATRIX, ROLES, Role
from baluarte.stages.access import Access
from baluarte.testing.accounts import PlainPasswords
from baluarte.testing.bundles import sample_events, sample_parts

PEPPER = b"p" * 32
TENANTS = ("nets", "cards", "*")


class Ground:
    """A server of one detector in the tenant nets, and a key for each role in each tenant."""

    def __init__(self, folder: Path) -> None:
        place = Workplace(folder)
        place.promote(place.seal(sample_parts()))
        address = f"sqlite:{folder / 'accounts.sqlite'}"
        self.accounts = wiring.open_accounts(address)
        shard = wiring.open_ledger_shard(folder / "acts")
        self.change = Access(
            accounts=self.accounts, passwords=PlainPasswords(), ledger=shard,
            clock=SystemClock(), entropy=SystemEntropy(), pepper=PEPPER, actor="root",
        )  # fmt: skip
        self.ids: dict[tuple[str, str], str] = {}
        self.keys: dict[tuple[str, str], str] = {}
        for role, tenant in itertools.product(ROLES, TENANTS):
            name = f"{role}.{'all' if tenant == '*' else tenant}"
            kind = "service" if role == "service" else "person"
            self.change.add(name, kind=kind, grants=[parse_grant(f"{role}@{tenant}")])
            key, self.keys[role, tenant] = self.change.issue_key(name, note="", days=1)
            self.ids[role, tenant] = key.id
        self.server = Server(place, accounts=address, pepper=PEPPER, tenants={"flows": "nets"})
        status, answer = self.server.decide(on_the_wire(sample_events(1)[0]))
        assert status == 200, answer
        self.decision = answer["id"]
        self.shard = shard

    def ask(self, key: str, route: Route) -> tuple[int, Any]:
        name = self.decision if route.scope == "decision" else "flows"
        body = None
        if route.method == "POST":
            body = b'[{"event_id": "e1", "label": 1}]' if route.name == "label" else b"{}"
        return self.server.ask(
            route.method, route.path.replace("{name}", name).replace("{version}", "1"), body,
            {"Authorization": f"Bearer {key}"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("matrix"))
    with made.server:
        yield made
    made.accounts.close()
    made.shard.close()


def expected(route: Route, role: Role, tenant: str) -> set[int]:
    """By the matrix alone."""
    if route.action is None or route.loopback_open:
        return {200}
    reaches = route.scope == "tenants" or tenant in ("nets", "*")
    if reaches and route.action in MATRIX[role]:
        return {200, 400, 422}  # let in; what the body says is another matter
    if route.scope == "tenants" or (reaches and "detectors.read" in MATRIX[role]):
        return {403}
    return {404}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_matrix_holds_on_the_wire(ground: Ground, route: Route) -> None:
    found = {
        (role, tenant): ground.ask(ground.keys[role, tenant], route)[0]
        for role, tenant in itertools.product(ROLES, TENANTS)
    }
    wrong = {who: status for who, status in found.items() if status not in expected(route, *who)}
    assert wrong == {}


@pytest.mark.parametrize("route", [r for r in ROUTES if r.action], ids=lambda route: route.path)
def test_without_a_key_nothing_that_needs_one_is_answered(ground: Ground, route: Route) -> None:
    if route.loopback_open:
        return
    for key in ("", "blt_nobody_" + "A" * 43, ground.keys["viewer", "*"][:-1]):
        assert ground.ask(key, route)[0] == 401


def test_a_list_names_only_what_the_caller_may_see(ground: Ground) -> None:
    route = next(r for r in ROUTES if r.name == "detectors")
    assert [d["name"] for d in ground.ask(ground.keys["viewer", "nets"], route)[1]] == ["flows"]
    assert ground.ask(ground.keys["viewer", "cards"], route)[1] == []


def test_of_another_tenant_a_decision_that_is_there_looks_like_one_that_is_not(
    ground: Ground,
) -> None:
    route = next(r for r in ROUTES if r.name == "decision")
    there = ground.ask(ground.keys["auditor", "cards"], route)
    nowhere = ground.server.ask(
        "GET", "/v1/decisions/" + "0" * 26,
        headers={"Authorization": f"Bearer {ground.keys['auditor', 'cards']}"},
    )  # fmt: skip
    assert there == nowhere


def test_a_withdrawn_key_opens_nothing_soon_after(ground: Ground) -> None:
    key = ground.keys["analyst", "nets"]
    route = next(r for r in ROUTES if r.name == "detector")
    assert ground.ask(key, route)[0] == 200
    ground.change.withdraw_key(ground.ids["analyst", "nets"])
    started = time.monotonic()
    while ground.ask(key, route)[0] != 401:
        assert time.monotonic() - started < 20  # a fifth of a second on a machine with time
        time.sleep(0.02)
