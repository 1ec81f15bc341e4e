"""baluarte.adapters.stores.postgresql: one registry, many workers, and a server that goes away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

import pg8000.native
import pytest

from baluarte.adapters.stores.postgresql import PostgresqlRegistry
from baluarte.core.registry import LabelRow, Promotion, Version
from baluarte.errors import ContractError, DataError, OutsideError
from postgres_ground import PASSWORD, PostgresServer


def version(number: int, *, epoch: int = 0) -> Version:
    return Version(
        detector="flows",
        version=number,
        digest=f"sha256:flows{number}",
        epoch=epoch or number,
        sealed_at=number,
        sealed_by="ada",
        provisional=False,
    )


def promotion(number: int) -> Promotion:
    return Promotion(detector="flows", version=number, at=1, actor="a", reason="", kind="promote")


@pytest.fixture
def address(postgres_server: PostgresServer) -> str:
    return postgres_server.over_tcp(f"t{uuid4().hex[:12]}")


def opened(address: str, password: str = PASSWORD) -> PostgresqlRegistry:
    return PostgresqlRegistry(address, password=lambda: password)


@pytest.fixture
def registry(address: str) -> Iterator[PostgresqlRegistry]:
    with opened(address) as found:
        yield found


def admin(server: PostgresServer, sql: str) -> list[list[object]]:
    connection = pg8000.native.Connection(
        "baluarte", host="127.0.0.1", port=server.port, database="postgres", password=PASSWORD
    )
    try:
        return connection.run(sql) or []
    finally:
        connection.close()


def cut_all(server: PostgresServer) -> None:
    admin(
        server,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'baluarte'",
    )


def test_everything_is_there_for_another_process(address: str) -> None:
    with opened(address) as one:
        one.add(version(1))
        one.set_champion(promotion(1))
    with opened(address) as other:
        assert other.champion("flows") == version(1)
        assert other.promotions("flows") == [promotion(1)]


def test_looks_spent_at_the_same_time_have_different_numbers(address: str) -> None:
    numbers: list[int] = []

    def spend(registry: PostgresqlRegistry) -> None:
        numbers.extend(
            registry.spend_look("h", detector="flows", actor="a", at=1, candidate="c")
            for _ in range(15)
        )

    with opened(address) as one, opened(address) as two, opened(address) as three:
        threads = [threading.Thread(target=spend, args=(r,)) for r in (one, one, two, three)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers) == list(range(1, 61))


def test_of_two_that_seal_the_same_number_one_is_refused(address: str) -> None:
    refused: list[DataError] = []

    def seal(registry: PostgresqlRegistry) -> None:
        try:
            registry.add(version(1))
        except DataError as error:
            refused.append(error)

    with opened(address) as one, opened(address) as two:
        threads = [threading.Thread(target=seal, args=(r,)) for r in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.versions("flows") == [version(1)]
    assert len(refused) == 1


def test_tables_made_by_many_at_once_are_made_once(address: str) -> None:
    found: list[list[str]] = []
    registries = [opened(address) for _ in range(4)]
    threads = [threading.Thread(target=lambda r=r: found.append(r.detectors())) for r in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for registry in registries:
        registry.close()
    assert found == [[]] * 4


def test_a_delivery_of_labels_is_kept_whole_or_not_at_all(registry: PostgresqlRegistry) -> None:
    good = LabelRow(event_id="e", label=1, at=1, source="s")
    for bad in ({"at": 2**70}, {"source": "a\0b"}):
        row = LabelRow(**({"event_id": "f", "label": 1, "at": 1, "source": "s"} | bad))  # type: ignore[arg-type]
        with pytest.raises(DataError, match="64 bits"):
            registry.add_labels("flows", [good, row])
    assert registry.labels("flows") == {}


def test_thousands_of_labels_are_taken_as_sqlite_takes_them(registry: PostgresqlRegistry) -> None:
    rows = [LabelRow(event_id=f"e{i}", label=0, at=i, source="s") for i in range(3_000)]
    assert registry.add_labels("flows", rows).new == 3_000
    assert registry.add_labels("flows", rows).new == 0
    assert len(registry.labels("flows")) == 3_000


def test_a_cut_connection_is_not_noticed_by_who_asks_again(
    registry: PostgresqlRegistry, postgres_server: PostgresServer
) -> None:
    registry.add(version(1))
    cut_all(postgres_server)
    assert registry.versions("flows") == [version(1)]
    cut_all(postgres_server)
    registry.add(version(2))  # a transaction that had not begun
    assert len(registry.versions("flows")) == 2


def test_a_transaction_that_is_cut_is_given_up_whole(
    registry: PostgresqlRegistry, postgres_server: PostgresServer
) -> None:
    registry.add(version(1))
    store = registry._store

    def cut_in_the_middle() -> None:
        with store.transaction():
            store.rows("DELETE FROM versions")
            cut_all(postgres_server)
            store.rows("SELECT 1")

    with pytest.raises(OutsideError) as caught:
        cut_in_the_middle()
    assert caught.value.retryable
    assert registry.versions("flows") == [version(1)]


def test_a_server_that_stops_is_an_outside_error_until_it_is_back(
    registry: PostgresqlRegistry, address: str, postgres_server: PostgresServer
) -> None:
    registry.add(version(1))
    registry.set_champion(promotion(1))
    postgres_server.stop()
    try:
        late = opened(address)  # opens without asking
        for each in (registry, late):
            with pytest.raises(OutsideError, match="reached") as caught:
                each.champion("flows")
            assert caught.value.retryable
        with pytest.raises(OutsideError):
            registry.add(version(2))
    finally:
        postgres_server.start()
    assert registry.champion("flows") == late.champion("flows") == version(1)
    late.close()


def test_a_wrong_password_is_said_and_not_told(address: str) -> None:
    registry = opened(address, password="guessed")
    with pytest.raises(OutsideError, match="password") as caught:
        registry.detectors()
    assert "guessed" not in str(caught.value)
    assert not caught.value.retryable


def test_a_newer_programs_registry_is_left_alone(
    registry: PostgresqlRegistry, address: str, postgres_server: PostgresServer
) -> None:
    registry.detectors()
    schema = address.rpartition("=")[2]
    admin(postgres_server, f"UPDATE {schema}.schema_versions SET version = 99")
    with opened(address) as other, pytest.raises(OutsideError, match="schema 99"):
        other.detectors()


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("?schema=x;drop", "small letters"),
        ("?tabel=x", "expected one of ca, host, schema, tls"),
        ("?ca=/no/such/file", "certificates"),
    ],
)
def test_an_address_that_can_not_be_is_refused_in_words(tail: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        PostgresqlRegistry(f"postgresql://ada@db.example/x{tail}").detectors()
    with pytest.raises(ContractError, match="no password"):
        PostgresqlRegistry("postgresql://ada:secret@db.example/x")
