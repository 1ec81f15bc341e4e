"""The registry in PostgreSQL: versions, champions, approvals, looks, labels. Extra ``sql``."""

from __future__ import annotations

from typing import ClassVar

from baluarte.adapters.postgres_store import PostgresStore
from baluarte.adapters.sql_registry import SqlRegistry
from baluarte.adapters.sql_source import Password

# One script a schema version, applied in order; a script that was released is never edited. Names
# and types are those of SQLite's, and texts sort by their bytes, so that the same statements hold.
_MIGRATIONS = (
    """
    CREATE TABLE versions (
        detector text COLLATE "C" NOT NULL, version bigint NOT NULL, digest text NOT NULL UNIQUE,
        epoch bigint NOT NULL, sealed_at bigint NOT NULL, sealed_by text NOT NULL,
        trained_by text NOT NULL, provisional bigint NOT NULL,
        PRIMARY KEY (detector, version), UNIQUE (detector, epoch)
    );
    CREATE TABLE promotions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        detector text COLLATE "C" NOT NULL, version bigint NOT NULL,
        at bigint NOT NULL, actor text NOT NULL, reason text NOT NULL, kind text NOT NULL,
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    );
    CREATE INDEX promotions_by_detector ON promotions (detector, id);
    CREATE TABLE approvals (
        detector text COLLATE "C" NOT NULL, version bigint NOT NULL,
        actor text COLLATE "C" NOT NULL, at bigint NOT NULL, reason text NOT NULL,
        PRIMARY KEY (detector, version, actor),
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    );
    CREATE TABLE looks (
        holdout text NOT NULL, number bigint NOT NULL, detector text NOT NULL,
        actor text NOT NULL, at bigint NOT NULL, candidate text NOT NULL,
        PRIMARY KEY (holdout, number)
    );
    CREATE TABLE labels (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        detector text COLLATE "C" NOT NULL, event_id text COLLATE "C" NOT NULL,
        label bigint NOT NULL, at bigint NOT NULL, source text COLLATE "C" NOT NULL,
        taken_at bigint NOT NULL
    );
    CREATE INDEX labels_by_event ON labels (detector, event_id, at, id);
    CREATE VIEW newest_labels AS
        SELECT id, detector, event_id, label, at, source, taken_at FROM (
            SELECT *, row_number() OVER (
                PARTITION BY detector, event_id, source ORDER BY at DESC, id DESC
            ) AS age FROM labels
        ) AS aged WHERE age = 1
    """,
    """
    CREATE TABLE declines (
        detector text COLLATE "C" NOT NULL, version bigint NOT NULL,
        actor text COLLATE "C" NOT NULL, at bigint NOT NULL, reason text NOT NULL,
        PRIMARY KEY (detector, version, actor),
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    )
    """,
    """
    CREATE TABLE shadows (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        detector text COLLATE "C" NOT NULL, version bigint NOT NULL,
        at bigint NOT NULL, actor text NOT NULL, reason text NOT NULL,
        kind text NOT NULL,
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    );
    CREATE INDEX shadows_by_version ON shadows (detector, version, id);
    CREATE TABLE workers (
        worker text COLLATE "C" PRIMARY KEY, seen_at bigint NOT NULL, said text NOT NULL
    )
    """,
)


class PostgresqlRegistry(SqlRegistry):
    """The registry in a schema of a database; nothing is connected before it is first asked.

    Args:
        address: ``postgresql://USER@HOST:PORT/DATABASE``; options ``schema``, ``tls``, ``ca`` and
            ``host``.
        password: asked for at each opening of a connection.

    Raises:
        ContractError: it is no such address.
        OutsideError: pg8000 isn't installed.
    """

    name: ClassVar[str] = "postgresql"

    def __init__(self, address: str, *, password: Password | None = None) -> None:
        super().__init__(
            PostgresStore(address, what="registry", migrations=_MIGRATIONS, password=password)
        )
