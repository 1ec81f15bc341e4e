"""baluarte.adapters.sources.{sqlite,postgresql}: tables and queries, read-only and bound."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from baluarte.adapters.quarantine import QuarantineFile
from baluarte.adapters.sinks.postgresql import PostgresqlSink
from baluarte.adapters.sinks.sqlite import SqliteSink
from baluarte.adapters.sources.postgresql import PostgresqlSource
from baluarte.adapters.sources.sqlite import SqliteSource
from baluarte.core.event import concat, records
from baluarte.core.reading import Reading, Tolerance
from baluarte.core.schema import Field, Schema
from baluarte.errors import BaluarteError, ContractError, DataError, OutsideError

SCHEMA = Schema(
    fields=(Field(name="amount", type="number"), Field(name="country", type="category"))
)
ROWS = [(1.5, "ES"), (2.0, None), (3.0, "FR")]


def read(source: Any, address: str, schema: Schema = SCHEMA, **more: Any) -> list[Any]:
    return list(records(concat(list(source.read(address, schema, batch_rows=2, **more)))))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "e.db"
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE tx (amount, country TEXT, day TEXT)")
        opened.executemany("INSERT INTO tx VALUES (?, ?, '2026-01-01')", ROWS)
    opened.close()
    return path


def asked(folder: Path, text: str) -> str:
    path = folder / "q.sql"
    path.write_text(text)
    return str(path)


def test_a_query_has_its_parameters_bound_never_pasted(database: Path, tmp_path: Path) -> None:
    query = asked(tmp_path, "SELECT amount, country FROM tx WHERE country = :where -- all\n;")
    assert read(SqliteSource(), f"sqlite:{database}?query={query}&where=FR") == [
        {"amount": 3, "country": "FR"}
    ]
    with pytest.raises(DataError, match="no row"):
        read(SqliteSource(), f"sqlite:{database}?query={query}&where=x' OR '1'='1")


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        ("sqlite:{db}", ContractError, "table=NAME or"),
        ("sqlite:{db}?table=tx&query=x.sql", ContractError, "table=NAME or"),
        ("sqlite:{db}?table=no", DataError, "no such table"),
        ('sqlite:{db}?table=tx"; DROP TABLE tx', ContractError, "a table's name"),
        ("sqlite:{db}.gone?table=tx", DataError, "expected a file, found none"),
        ("sqlite:{q}?table=tx", DataError, "not a database"),
        ("sqlite:{db}?query={q}.gone", DataError, "a file with a query"),
        ("sqlite:{db}?query={q}", ContractError, "expected one SELECT"),
        ("postgresql://ada:secret@db.example/x?table=t", ContractError, "no password"),
    ],
)
def test_an_address_that_can_not_be_is_refused_in_words(
    address: str, kind: type[BaluarteError], words: str, database: Path, tmp_path: Path
) -> None:
    query = asked(tmp_path, "DELETE FROM tx " + "x" * 200)
    address = address.format(db=database, q=query)
    source = PostgresqlSource() if address.startswith("p") else SqliteSource()
    with pytest.raises(kind, match=words) as caught:
        read(source, address)
    assert "secret" not in str(caught.value)


def test_nothing_can_be_written_through_a_source(database: Path, tmp_path: Path) -> None:
    query = asked(tmp_path, "WITH x AS (SELECT 1) DELETE FROM tx RETURNING amount, country")
    with pytest.raises(DataError, match="readonly"):
        read(SqliteSource(), f"sqlite:{database}?query={query}")
    assert len(read(SqliteSource(), f"sqlite:{database}?table=tx")) == 3


def test_bad_rows_of_a_table_go_to_the_quarantine(database: Path, tmp_path: Path) -> None:
    with sqlite3.connect(database) as opened:
        opened.execute("INSERT INTO tx VALUES ('much', 'DE', NULL), (X'00', 'PT', NULL)")
    opened.close()
    kept = tmp_path / "bad.ndjson"
    with QuarantineFile(kept, Tolerance(max_rows=9, max_share=1)) as quarantine:
        found = read(SqliteSource(), f"sqlite:{database}?table=tx", quarantine=quarantine)
    assert len(found) == 3
    first, second = kept.read_text().splitlines()
    assert '"line":4' in first
    assert "'much'" in first
    assert "found a bytes" in second


def test_the_digest_is_of_the_rows_whatever_their_order(database: Path, tmp_path: Path) -> None:
    source = SqliteSource()
    plain = source.digest(f"sqlite:{database}?table=tx")
    turned = asked(tmp_path, "SELECT * FROM tx ORDER BY amount DESC")
    assert source.digest(f"sqlite:{database}?query={turned}") == plain
    fewer = asked(tmp_path, "SELECT * FROM tx WHERE amount < 3")
    assert source.digest(f"sqlite:{database}?query={fewer}") != plain
    again = SqliteSource()
    read(again, f"sqlite:{database}?table=tx")
    assert again.digest(f"sqlite:{database}?table=tx") == plain


def test_postgres_types_become_the_schemas(postgres: str, tmp_path: Path) -> None:
    query = asked(
        tmp_path,
        """SELECT 12.30::numeric AS amount, '7b0f1a3e-9a52-4f5e-8a52-2f9d6f3c1a11'::uuid AS id,
        '192.0.2.7'::inet AS src, '2026-07-31 12:00+02'::timestamptz AS at,
        '2026-07-31 12:00'::timestamp AS local, true AS known, '{"flow":{"bytes":7}}'::jsonb AS eve,
        42::bigint AS code, NULL::text AS nothing WHERE :day = '2026-07-31'""",
    )
    schema = Schema(
        fields=(
            Field(name="amount", type="number"),
            Field(name="id", type="category", role="id"),
            Field(name="src", type="ip"),
            Field(name="at", type="time"),
            Field(name="local", type="time"),
            Field(name="known", type="boolean"),
            Field(name="eve.flow.bytes", type="integer"),
            Field(name="code", type="category"),
            Field(name="nothing", type="text"),
        )
    )
    address = f"{postgres}&query={query}&day=2026-07-31"
    (found,) = read(PostgresqlSource(), address, schema, reading=Reading(zone="Europe/Madrid"))
    noon = 1_785_492_000_000_000
    assert found == {
        "amount": 12.3, "id": "7b0f1a3e-9a52-4f5e-8a52-2f9d6f3c1a11", "src": "192.0.2.7",
        "at": noon, "local": noon, "known": 1, "eve.flow.bytes": 7, "code": "42",
    }  # fmt: skip
    profile = {c.name: c.physical for c in PostgresqlSource().profile(address, max_rows=9)}
    assert (profile["at"], profile["known"], profile["code"]) == ("time", "boolean", "integer")


def test_postgres_is_read_only_and_streams_from_a_cursor(postgres: str, tmp_path: Path) -> None:
    write = asked(tmp_path, "WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT 1")
    with pytest.raises(DataError, match="refused"):
        read(PostgresqlSource(), f"{postgres}&query={write}")
    endless = asked(
        tmp_path,
        "SELECT generate_series(1, 1e12::bigint)::float AS amount, 'x' AS country",
    )
    batches = PostgresqlSource().read(f"{postgres}&query={endless}", SCHEMA, batch_rows=1_000)
    assert next(iter(batches)).n == 1_000  # the server gives no more than is asked for


def test_postgres_that_is_not_there_is_the_operators_business(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="can't be reached"):
        read(PostgresqlSource(), f"postgresql://ada@/x?host={tmp_path}&table=t")


BATCHES = [
    {"id": ["a", "b"], "score": [1, 2], "p": [0.5, float("nan")], "why": [None, None]},
    {"id": ["c\t\\\n", None], "score": [2**53 - 1, 0], "p": [1e-300, 0.1], "why": ["x", [1, 2]]},
]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_table_takes_all_rows_or_none(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        address = f"sqlite:{tmp_path / 'out.db'}?table=decisions"
        sink: Any = SqliteSink()
        source: Any = SqliteSource()
    else:
        address = request.getfixturevalue("postgres") + "&table=decisions"
        sink, source = PostgresqlSink(), PostgresqlSource()
    schema = Schema(
        fields=(
            Field(name="id", type="text"),
            Field(name="score", type="integer"),
            Field(name="p", type="number"),
            Field(name="why", type="text"),
        )
    )

    def broken() -> Any:
        yield BATCHES[0]
        raise DataError("row 3 is wrong")

    with pytest.raises(DataError, match="row 3"):
        sink.write(address, broken())
    with pytest.raises(BaluarteError):  # no table, and of SQLite no file
        read(source, address, schema)
    assert list(tmp_path.iterdir()) == []
    assert sink.write(address, iter(BATCHES)) == 4
    wanted = [
        {"id": "a", "score": 1, "p": 0.5},
        {"id": "b", "score": 2},
        {"id": "c\t\\\n", "score": 2**53 - 1, "p": 1e-300, "why": "x"},
        {"score": 0, "p": 0.1, "why": "[1,2]"},
    ]
    assert read(source, address, schema) == wanted
    with pytest.raises(DataError, match="row 3"):
        sink.write(address, broken())
    assert sink.write(address, iter(BATCHES)) == 4
    assert read(source, address, schema) == wanted * 2
