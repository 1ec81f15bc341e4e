"""The index over the ledger in PostgreSQL, for many machines' questions. Extra ``sql``."""

from __future__ import annotations

from typing import ClassVar

from baluarte.adapters.postgres_store import PostgresStore
from baluarte.adapters.sql_index import SqlIndex
from baluarte.adapters.sql_source import Password

# One script a schema version, applied in order; a script that was released is never edited. Names
# and types are those of SQLite's, and texts sort by their bytes, so that the same statements hold.
_MIGRATIONS = (
    """
    CREATE TABLE decisions (
        shard text COLLATE "C" NOT NULL, place bigint NOT NULL, event bytea NOT NULL,
        detector text NOT NULL, version bigint NOT NULL, role text NOT NULL,
        decided_at bigint NOT NULL, event_at bigint NOT NULL, band bigint NOT NULL,
        outcome text COLLATE "C" NOT NULL, score bigint NOT NULL, points bigint NOT NULL,
        PRIMARY KEY (shard, place)
    );
    CREATE INDEX decisions_by_event ON decisions (event);
    CREATE INDEX decisions_by_time ON decisions (decided_at);
    CREATE TABLE marks (
        shard text COLLATE "C" NOT NULL PRIMARY KEY, size bigint NOT NULL, leaf bytea NOT NULL
    )
    """,
)


class PostgresqlIndex(SqlIndex):
    """The index in a schema of a database; nothing is connected before it is first asked.

    Args:
        address: as :class:`baluarte.adapters.stores.postgresql.PostgresqlRegistry` takes it.
        password: asked for at each opening of a connection.

    Raises:
        ContractError: it is no such address.
        OutsideError: pg8000 isn't installed.
    """

    name: ClassVar[str] = "postgresql_index"

    def __init__(self, address: str, *, password: Password | None = None) -> None:
        super().__init__(
            PostgresStore(address, what="index", migrations=_MIGRATIONS, password=password)
        )
