"""Route × role × tenant × way in, on a running console: it asks the same page of rules."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_ground import PEPPER, Console, ConsolePlace, ConsoleServer, sessions_of

from baluarte import wiring
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.console import door as doors
from baluarte.apps.console.routes import ROUTES
from baluarte.apps.scoring.routes import ROUTES as DATA_ROUTES
from baluarte.apps.scoring.routes import Route
from baluarte.core.accounts import Account, parse_grant
from baluarte.core.policy import IN_PERSON, MATRIX, ROLES, Action, Role
from baluarte.stages.access import Access
from baluarte.testing.accounts import PlainPasswords
from baluarte.testing.bundles import sample_parts

TENANTS = ("nets", "cards", "*")
WRONG = b'{"there is no such field": 1}'  # what is let in is refused after, and changes nothing


class Ground:
    """A console of one detector in the tenant nets, and a session and a key for each role."""

    def __init__(self, folder: Path) -> None:
        place = ConsolePlace(folder)
        place.seal(sample_parts())  # by ana
        accounts = wiring.open_accounts(f"sqlite:{folder / 'accounts.sqlite'}")
        shard = wiring.open_ledger_shard(folder / "acts")
        change = Access(
            accounts=accounts, passwords=PlainPasswords(), ledger=shard, clock=SystemClock(),
            entropy=SystemEntropy(), pepper=PEPPER, actor="setup",
        )  # fmt: skip
        change.add("root", kind="person", grants=[parse_grant("admin@*")], subject="idp#root")
        change.add("target", kind="service", grants=[parse_grant("viewer@nets")])
        key, _ = change.issue_key("target", note="", days=1)
        self.names = {"account": "target", "key": key.id}
        self.keys: dict[tuple[str, str], str] = {}
        self.secrets: dict[tuple[str, str], str] = {}
        sessions = sessions_of(place, accounts)
        for role, tenant in itertools.product(ROLES, TENANTS):
            name = f"{role}.{'all' if tenant == '*' else tenant}"
            kind = "service" if role == "service" else "person"
            account: Account = change.add(
                name, kind=kind, grants=[parse_grant(f"{role}@{tenant}")],
                subject=f"idp#{name}" if kind == "person" else None,
            )  # fmt: skip
            _, self.keys[role, tenant] = change.issue_key(name, note="", days=1)
            if kind == "person":
                self.secrets[role, tenant] = sessions.open(account, how="test")
        self.tokens = {who: sessions.token_of(secret) for who, secret in self.secrets.items()}
        shard.close()
        accounts.close()
        self.server = ConsoleServer(place)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)

    def ask(self, route: Route, headers: dict[str, str], detector: str = "flows") -> int:
        name = self.names.get(route.scope, detector)
        path = route.path.replace("{name}", name).replace("{version}", "1")
        body = WRONG if route.method == "POST" else None
        sent = {"content-type": "application/json"} if body else {}
        try:
            self.connection.request(route.method, path, body, {**sent, **headers})
            answer = self.connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise
        return answer.status

    def by_session(self, who: tuple[str, str]) -> dict[str, str]:
        return {
            "cookie": f"__Host-baluarte={self.secrets[who]}", "origin": self.server.origin,
            "x-baluarte-token": self.tokens[who],
        }  # fmt: skip

    def by_key(self, who: tuple[str, str]) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[who]}"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("matrix"))
    with made.server:
        yield made
        made.connection.close()


def expected(route: Route, role: Role, tenant: str, *, in_person: bool) -> set[int]:
    """By the matrix alone."""
    let_in = {400} if route.method == "POST" else {200}
    action = route.action
    if route.scope == "own":
        return let_in if route.name != "sign_out" else {200}
    assert action is not None

    def may(this: Action) -> bool:
        return this in MATRIX[role] and (in_person or this not in IN_PERSON)

    reaches = tenant in ("nets", "*")
    if route.scope == "tenants":
        return let_in if may(action) else {403}
    if route.scope == "detector":
        if reaches and may(action):
            return let_in
        return {403} if reaches and may("detectors.read") else {404}
    if reaches and may("accounts.read" if route.scope == "account" else "keys.read"):
        return let_in if may(action) else {403}
    return {404} if may(action) else {403}


GUARDED = [route for route in ROUTES if route.scope != "open" and route.name != "sign_out"]


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
def test_the_matrix_holds_on_the_wire_by_session_and_by_key(ground: Ground, route: Route) -> None:
    found, wanted = {}, {}
    for role, tenant in itertools.product(ROLES, TENANTS):
        ways = {"key": (ground.by_key, False)}
        if role != "service":
            ways["session"] = (ground.by_session, True)
        for way, (headers, in_person) in ways.items():
            found[role, tenant, way] = ground.ask(route, headers((role, tenant)))
            wanted[role, tenant, way] = expected(route, role, tenant, in_person=in_person)
    wrong = {who: status for who, status in found.items() if status not in wanted[who]}
    assert wrong == {}


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
def test_without_a_session_or_a_key_nothing_that_needs_one_is_answered(
    ground: Ground, route: Route
) -> None:
    key, session = ground.by_key(("admin", "*")), ground.by_session(("admin", "*"))
    for headers in (
        {"origin": ground.server.origin},
        {**key, "authorization": key["authorization"][:-1]},
        {**session, "cookie": session["cookie"][:-2] + "zz"},
        {**session, "cookie": "__Host-baluarte=" + "0" * 64},
        {**session, "cookie": "__Host-baluarte="},
        {**session, "cookie": "__Host-baluarte=\u00e9"},
    ):  # fmt: skip
        sent = {name: value for name, value in headers.items() if value.isascii()}
        assert ground.ask(route, sent) == 401


def test_what_is_there_of_another_tenant_looks_like_what_is_not(ground: Ground) -> None:
    who = ground.by_session(("approver", "cards"))
    for route in GUARDED:
        if route.scope == "detector":
            assert ground.ask(route, who) == ground.ask(route, who, "nowhere") == 404


def test_a_withdrawn_key_opens_nothing_soon_after(ground: Ground) -> None:
    headers = ground.by_session(("admin", "*"))
    route = next(r for r in ROUTES if r.name == "detectors")
    shown = ground.by_key(("viewer", "nets"))
    assert ground.ask(route, shown) == 200
    key_id = ground.keys["viewer", "nets"].split("_")[1]
    ground.connection.request(
        "POST", f"/v1/keys/{key_id}/withdraw", json.dumps({"reason": "lost"}),
        {**headers, "content-type": "application/json"},
    )  # fmt: skip
    answer = ground.connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"done": True})
    started = time.monotonic()
    while ground.ask(route, shown) != 401:
        assert time.monotonic() - started < 20  # a fifth of a second on a machine with time
        time.sleep(0.02)


# --- the inventories ------------------------------------------------------------------------------


def test_a_route_that_is_not_in_the_inventory_can_not_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Console(tmp_path)
    for routes in (ROUTES[:-1], (*ROUTES, ROUTES[0].__class__(
        name="backdoor", method="POST", path="/v1/backdoor", scope="open"))):  # fmt: skip
        monkeypatch.setattr(doors, "ROUTES", routes)
        with pytest.raises(ValueError, match="inventory"):
            Console(tmp_path)


def test_both_planes_declare_every_route_with_whose_it_is_and_what_it_needs() -> None:
    for routes, opened in ((DATA_ROUTES, ()), (ROUTES, ("sign_in",))):
        named = {(route.method, route.path) for route in routes}
        assert len(named) == len(routes)
        for route in routes:
            assert route.method in ("GET", "POST")
            assert (route.action is None) == (route.scope in ("open", "own"))
            assert route.method == "GET" or route.scope != "open" or route.name in opened
