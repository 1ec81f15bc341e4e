"""baluarte.apps.scoring.guard: who may ask, for which host, from where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baluarte.apps.scoring.access import Access
from baluarte.apps.scoring.guard import OPERATOR, Guard
from baluarte.apps.scoring.problem import Refusal
from baluarte.apps.scoring.rates import Rates
from baluarte.apps.scoring.reach import DAY_US, require_guarded, token_of
from baluarte.apps.scoring.routes import ROUTES, Route, find
from baluarte.core.accounts import parse_grant
from baluarte.core.policy import Principal
from baluarte.errors import ContractError, OutsideError
from baluarte.stages import access as stages
from baluarte.testing.accounts import MemoryAccounts, PlainPasswords
from baluarte.testing.clock import CountingEntropy, FixedClock
from baluarte.testing.stores import MemoryLedger

NOW = 1_700_000_000_000_000
TOKEN = token_of("blt_" + "t" * 43, now_us=NOW)
PEPPER = b"p" * 32


def guard_of(accounts: MemoryAccounts | None = None, **changes: Any) -> Guard:
    quotas = changes.pop("quotas", {})
    given = {
        "host": "127.0.0.1", "port": 8317, "hosts": (), "token_hash": TOKEN.token_hash,
        "token_pepper": TOKEN.pepper, "until_us": TOKEN.until_us, "pepper": PEPPER,
        "tenants": {"flows": "nets"}, "rates": None,
        "access": Access(accounts, clock=FixedClock(NOW), quotas=quotas),
    }  # fmt: skip
    return Guard(**{**given, **changes})


GUARD = guard_of()


@pytest.mark.parametrize("header", [f"Bearer {TOKEN.text}", f"bearer  {TOKEN.text} "])
def test_the_token_is_let_in(header: str) -> None:
    GUARD.admit(header, now_us=NOW)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", TOKEN.text, f"Basic {TOKEN.text}", f"Bearer {TOKEN.text}x",
     f"Bearer {TOKEN.text[:-1]}", "Bearer \u00e9\ud7ff", "Bearer \udcff",
     token_of("blt_" + "u" * 43, now_us=NOW).text],
)  # fmt: skip
def test_anything_else_is_401(header: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.admit(header, now_us=NOW)
    assert caught.value.status == 401
    assert ("www-authenticate", "Bearer") in caught.value.headers


def test_after_the_token_was_let_in_others_still_are_not() -> None:
    for _ in range(2):
        GUARD.admit(f"Bearer {TOKEN.text}", now_us=NOW)
        with pytest.raises(Refusal):
            GUARD.admit(f"Bearer {TOKEN.text} x", now_us=NOW)
        with pytest.raises(Refusal):
            GUARD.admit("", now_us=NOW)


def test_a_token_holds_for_a_day() -> None:
    GUARD.admit(f"Bearer {TOKEN.text}", now_us=NOW + DAY_US - 1)
    with pytest.raises(Refusal):
        GUARD.admit(f"Bearer {TOKEN.text}", now_us=NOW + DAY_US)


def test_the_token_is_kept_only_as_a_hash() -> None:
    kept = (TOKEN.token_hash, TOKEN.pepper)
    assert all(TOKEN.text.encode() not in part for part in kept)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8317", "[::1]:8317", "LOCALHOST:8317"])
def test_loopback_names_are_ours(host: str) -> None:
    GUARD.check_host([host], None)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost:8318", "localhost.", "127.0.0.2", "",
     "169.254.169.254", "localhost:8317:1", "[::ffff:127.0.0.1]"],
)  # fmt: skip
def test_a_rebound_name_is_421(host: str) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host([host], None)
    assert caught.value.status == 421


def test_an_absolute_target_must_be_ours_too() -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host(["localhost"], "evil.example")
    assert caught.value.status == 421


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"]])
def test_none_or_two_hosts_are_400(hosts: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        GUARD.check_host(hosts, None)
    assert caught.value.status == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_may_be_served_on(host: str) -> None:
    require_guarded(host, tls=False, keys=0, hosts=())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "10.0.0.1", "example.org", ""])
def test_any_other_address_is_refused_until_it_is_guarded_in_full(host: str) -> None:
    whole = {"tls": True, "keys": 1, "hosts": ("score.example.org",)}
    require_guarded(host, **whole)
    for missing, nothing in (("tls", False), ("keys", 0), ("hosts", ())):
        with pytest.raises(ContractError, match="needs"):
            require_guarded(host, **{**whole, missing: nothing})


# --- keys ---------------------------------------------------------------------------------------


class Issued:
    """An account with a key, a guard that follows them, and what changes them."""

    def __init__(self, role: str = "service@nets", **key: Any) -> None:
        self.accounts, self.clock = MemoryAccounts(), FixedClock(NOW)
        self.change = stages.Access(
            accounts=self.accounts, passwords=PlainPasswords(),
            ledger=MemoryLedger().open_shard(), clock=self.clock, entropy=CountingEntropy(),
            pepper=PEPPER, actor="root",
        )  # fmt: skip
        self.change.add("switch", kind="service", grants=[parse_grant(role)])
        self.key, self.text = self.change.issue_key("switch", note="", days=1, **key)
        self.access = Access(self.accounts, clock=self.clock, quotas={"nets": 10})
        self.guard = guard_of(access=self.access)

    def admit(self) -> Principal:
        return self.guard.admit(f"Bearer {self.text}", now_us=self.clock.now_us())

    def turn(self) -> None:
        """What the following thread does five times a second."""
        self.access._again(self.accounts)


def refused(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value


def route(name: str) -> Route:
    return next(r for r in ROUTES if r.name == name)


def test_a_key_is_let_in_as_its_account_and_no_other_text_is() -> None:
    issued = Issued()
    assert issued.admit().name == "switch"
    wrong = f"blt_{issued.key.id}_{'A' * 43}"
    assert refused(lambda: issued.guard.admit(f"Bearer {wrong}", now_us=NOW)).status == 401


def test_a_withdrawn_key_opens_nothing_once_the_worker_looked() -> None:
    issued = Issued()
    issued.admit()
    issued.change.withdraw_key(issued.key.id)
    issued.turn()
    assert refused(issued.admit).status == 401


def test_a_disabled_account_and_an_expired_key_open_nothing() -> None:
    issued = Issued()
    issued.admit()
    issued.clock.advance(DAY_US)
    assert refused(issued.admit).status == 401
    issued = Issued()
    issued.change.disable("switch")
    issued.turn()
    assert refused(issued.admit).status == 401


def test_a_changed_role_holds_once_the_worker_looked() -> None:
    issued = Issued("viewer@nets")
    assert (
        refused(lambda: issued.guard.check(issued.admit(), route("decide"), "flows")).status == 403
    )
    issued.change.grant("switch", [parse_grant("service@nets:flows")])
    issued.turn()
    issued.guard.check(issued.admit(), route("decide"), "flows")


def test_another_tenants_detector_is_not_there() -> None:
    issued = Issued("service@cards")
    for name in ("decide", "label", "detector"):
        refusal = refused(lambda n=name: issued.guard.check(issued.admit(), route(n), "flows"))
        assert (refusal.status, refusal.code) == (404, "not_found")


def test_where_the_store_is_away_the_last_known_keys_go_on() -> None:
    issued = Issued()

    class Away(MemoryAccounts):
        def generation(self) -> int:
            raise OutsideError("the disk is gone")

    issued.access._again(Away())
    assert issued.access.away
    assert issued.admit().name == "switch"


def test_a_key_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    issued = Issued(rate_per_s=0.001, burst=2)
    issued.guard = guard_of(access=issued.access, rates=Rates(tmp_path))
    other = guard_of(access=issued.access, rates=Rates(tmp_path))  # another worker's
    issued.admit()
    other.admit(f"Bearer {issued.text}", now_us=NOW)
    refusal = refused(issued.admit)
    assert (refusal.status, refusal.code) == (429, "too_many_requests")
    assert 990 < int(dict(refusal.headers)["retry-after"]) <= 1001


def test_a_tenants_quota_counts_what_every_worker_let_through() -> None:
    issued = Issued()
    there = Access(issued.accounts, clock=issued.clock, quotas={"nets": 10})
    assert there.use("nets", 6) is None
    there._again(issued.accounts)
    issued.turn()
    issued.guard.spend("flows", 4)
    refusal = refused(lambda: issued.guard.spend("flows", 1))
    assert (refusal.status, refusal.code) == (429, "quota_used_up")
    issued.guard.spend("cards", 10**6)  # another tenant has no limit
    issued.clock.advance(DAY_US)
    issued.guard.spend("flows", 10)


def test_the_servers_own_token_opens_on_a_loopback_address_only() -> None:
    assert GUARD.admit(f"Bearer {TOKEN.text}", now_us=NOW) == OPERATOR
    outside = guard_of(host="192.0.2.1", hosts=("score.example.org",))
    assert refused(lambda: outside.admit(f"Bearer {TOKEN.text}", now_us=NOW)).status == 401
    outside.check_host(["score.example.org:8317"], None)
    assert refused(lambda: outside.check_host(["localhost"], None)).status == 421


# --- the inventory --------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ROUTES, ids=lambda known: known.name)
def test_a_route_needs_an_action_unless_it_is_open_to_anyone(known: Route) -> None:
    assert (known.action is None) == (known.scope == "open")
    path = known.path.replace("{name}", "flows").replace("{version}", "3")
    found = find(known.method, path)
    assert found.route is known
    assert found.name == ("flows" if "{name}" in known.path else "")
    assert found.version == ("3" if "{version}" in known.path else "")


def test_what_changes_something_is_open_to_nobody() -> None:
    assert not [r.name for r in ROUTES if r.method != "GET" and (r.action is None)]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
def test_other_methods_of_a_route_are_405(method: str) -> None:
    refusal = refused(lambda: find(method, "/v1/detectors/flows/decisions"))
    assert (refusal.status, dict(refusal.headers)["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path",
    ["", "//", "/v1", "/v1/models/a:predict:predict",
     "/v1/models/a/versions/x:predict", "/v1/detectors/", "/v1/detectors//decisions",
     "/v1/detectors/a/b/decisions",
     "/v1/decisions/", "//healthz", "/healthz/", "/v1/detectors/flows/decisions/"],
)  # fmt: skip
def test_other_paths_are_404(path: str) -> None:
    assert refused(lambda: find("GET", path)).status == 404
