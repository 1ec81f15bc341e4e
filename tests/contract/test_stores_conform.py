"""Every registered store, and the ones in memory, do what the ports say."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from baluarte.adapters.stores.accounts import SqliteAccounts
from baluarte.adapters.stores.folder import FolderBundles
from baluarte.adapters.stores.postgresql import PostgresqlRegistry
from baluarte.adapters.stores.postgresql_accounts import PostgresqlAccounts
from baluarte.adapters.stores.postgresql_index import PostgresqlIndex
from baluarte.adapters.stores.segments import Segments
from baluarte.adapters.stores.sqlite import SqliteRegistry
from baluarte.adapters.stores.sqlite_index import SqliteIndex
from baluarte.testing.accounts import MemoryAccounts, check_accounts
from baluarte.testing.index import check_index
from baluarte.testing.keepers import check_keeper
from baluarte.testing.registry import check_registry
from baluarte.testing.stores import (
    MemoryBundles,
    MemoryLedger,
    MemoryRegistry,
    check_bundle_store,
    check_ledger,
)
from postgres_ground import PASSWORD, PostgresServer


def memory(_: Path) -> None:
    ledger = MemoryLedger()
    check_ledger(ledger.open_shard, ledger.reader())
    ledger = MemoryLedger()
    check_keeper(ledger.open_shard, ledger.reader(), ledger.keeper())
    check_bundle_store(MemoryBundles())
    check_registry(MemoryRegistry())
    check_accounts(MemoryAccounts())


def segments(place: Path) -> None:
    ledger = Segments(place)
    check_ledger(ledger.open_shard, ledger.reader())
    ledger = Segments(place / "small", segment_bytes=1500)
    with ledger.keeper() as keeper:
        check_keeper(ledger.open_shard, ledger.reader(), keeper)


def folder(place: Path) -> None:
    check_bundle_store(FolderBundles(place))


def sqlite(place: Path) -> None:
    with closing(SqliteRegistry(place / "registry.db")) as registry:
        check_registry(registry)


def accounts(place: Path) -> None:
    with closing(SqliteAccounts(place / "accounts.db")) as store:
        check_accounts(store)


def sqlite_index(place: Path) -> None:
    with closing(SqliteIndex(place / "index.db")) as index:
        check_index(index)


SUITES: dict[str, Callable[[Path], None]] = {
    "memory": memory,
    "accounts": accounts,
    "segments": segments,
    "folder": folder,
    "sqlite": sqlite,
    "sqlite_index": sqlite_index,
}


def postgresql(server: PostgresServer) -> None:
    address = server.over_tcp("conformance")
    with closing(PostgresqlRegistry(address, password=lambda: PASSWORD)) as registry:
        check_registry(registry)


def postgresql_index(server: PostgresServer) -> None:
    address = server.over_tcp("conformance")
    with closing(PostgresqlIndex(address, password=lambda: PASSWORD)) as index:
        check_index(index)


def postgresql_accounts(server: PostgresServer) -> None:
    address = server.over_tcp("conformance")
    with closing(PostgresqlAccounts(address, password=lambda: PASSWORD)) as store:
        check_accounts(store)


SERVED: dict[str, Callable[[PostgresServer], None]] = {
    "postgresql": postgresql,
    "postgresql_accounts": postgresql_accounts,
    "postgresql_index": postgresql_index,
}


@pytest.mark.parametrize("name", SUITES)
def test_the_store_does_what_its_port_says(name: str, tmp_path: Path) -> None:
    SUITES[name](tmp_path)


@pytest.mark.parametrize("name", SERVED)
def test_so_does_the_store_on_a_server(name: str, postgres_server: PostgresServer) -> None:
    SERVED[name](postgres_server)


def test_every_registered_store_is_tried_here() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    registered = set(project["project"]["entry-points"]["baluarte.stores"])
    assert registered == (SUITES.keys() | SERVED.keys()) - {"memory"}
