"""Accounts in PostgreSQL: what one machine changes the other sees, and a server that goes away."""

from __future__ import annotations

import threading
from contextlib import closing
from uuid import uuid4

import pytest

from baluarte import wiring
from baluarte.adapters.sql_accounts import SqlAccounts
from baluarte.adapters.system import SystemClock, SystemEntropy
from baluarte.apps.scoring.access import Access as Followed
from baluarte.core.accounts import MAX_FAILURES, id_of_key, parse_grant
from baluarte.stages.access import Access, Door
from baluarte.testing.accounts import PlainPasswords
from baluarte.testing.stores import MemoryLedger
from postgres_ground import PASSWORD, PostgresServer, initdb

PEPPER = b"p" * 32


@pytest.fixture
def address(postgres_server: PostgresServer) -> str:
    return postgres_server.over_tcp(f"t{uuid4().hex[:12]}")


def opened(address: str) -> SqlAccounts:
    return wiring.open_accounts(address, password=lambda: PASSWORD)


def change(accounts: SqlAccounts) -> Access:
    return Access(
        accounts=accounts, passwords=PlainPasswords(), ledger=MemoryLedger().open_shard(),
        clock=SystemClock(), entropy=SystemEntropy(), pepper=PEPPER, actor="root",
    )  # fmt: skip


def door(accounts: SqlAccounts) -> Door:
    return Door(
        accounts=accounts, passwords=PlainPasswords(), clock=SystemClock(),
        entropy=SystemEntropy(), pepper=PEPPER,
    )  # fmt: skip


def test_a_session_and_a_key_of_one_machine_hold_and_end_on_the_other(address: str) -> None:
    with closing(opened(address)) as here, closing(opened(address)) as there:
        change(here).add(
            "ana", kind="person", grants=[parse_grant("analyst@cards")], password="horse battery x"
        )
        secret = door(here).sign_in("ana", "horse battery x")
        assert secret is not None
        caller = door(there).of_session(secret)
        assert caller is not None
        assert caller.name == "ana"
        _, text = change(here).issue_key("ana", note="", days=1, rate_per_s=0.5)
        followed = Followed(there, clock=SystemClock(), quotas={})
        assert {*followed.keys} == {id_of_key(text)}
        change(here).grant("ana", [parse_grant("viewer@cards")])
        assert door(there).of_session(secret) is None
        change(here).withdraw_key(id_of_key(text) or "")
        followed._again(there)
        assert not followed.keys


def test_guesses_on_many_machines_at_once_are_all_counted(address: str) -> None:
    with closing(opened(address)) as first:
        change(first).add("ana", kind="person", grants=[], password="horse battery x")
        stores = [opened(address) for _ in range(4)]
        results: list[str | None] = []

        def guess(store: SqlAccounts) -> None:
            tried = [door(store).sign_in("ana", "wrong") for _ in range(MAX_FAILURES)]
            results.extend(tried)

        threads = [threading.Thread(target=guess, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for store in stores:
            store.close()
        assert results == [None] * 4 * MAX_FAILURES
        assert door(first).sign_in("ana", "horse battery x") is None  # locked by all together


def test_where_the_server_is_away_the_last_known_keys_go_on_and_nobody_else_is_let_in() -> None:
    program = initdb()
    if program is None:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    server = PostgresServer(program)
    try:
        server.start()
        with closing(opened(server.over_tcp("away"))) as store:
            change(store).add("switch", kind="service", grants=[parse_grant("service@cards")])
            _, text = change(store).issue_key("switch", note="", days=1)
            followed = Followed(store, clock=SystemClock(), quotas={})
            server.stop()
            followed._again(store)
            assert followed.away
            assert {*followed.keys} == {id_of_key(text)}
        with closing(opened(server.over_tcp("away"))) as late:
            started = Followed(late, clock=SystemClock(), quotas={})
            assert started.away
            assert not started.keys
            server.start()
            started._again(late)
            assert {*started.keys} == {id_of_key(text)}
    finally:
        server.remove()
