"""Accounts, keys and sessions in PostgreSQL. Extra ``sql``."""

from __future__ import annotations

from typing import ClassVar

from baluarte.adapters.postgres_store import PostgresStore
from baluarte.adapters.sql_accounts import SqlAccounts
from baluarte.adapters.sql_source import Password

# One script a schema version, applied in order; a script that was released is never edited. Names
# are those of SQLite's, and texts sort by their bytes, so that the same statements hold.
_MIGRATIONS = (
    """
    CREATE TABLE accounts (
        name text COLLATE "C" PRIMARY KEY, kind text NOT NULL, owner text NOT NULL,
        grants bytea NOT NULL, hands bytea NOT NULL, made_at bigint NOT NULL,
        made_by text NOT NULL, disabled_at bigint, subject text COLLATE "C" UNIQUE, password text
    );
    CREATE TABLE keys (
        id text COLLATE "C" PRIMARY KEY,
        account text COLLATE "C" NOT NULL REFERENCES accounts (name), note text NOT NULL,
        mac bytea NOT NULL, made_at bigint NOT NULL, made_by text NOT NULL, until bigint NOT NULL,
        revoked_at bigint, rate_per_s double precision, burst bigint
    );
    CREATE TABLE sessions (
        mac bytea PRIMARY KEY, account text COLLATE "C" NOT NULL REFERENCES accounts (name),
        made_at bigint NOT NULL, until bigint NOT NULL, how text NOT NULL, seen_at bigint NOT NULL
    );
    CREATE TABLE failures (
        name text COLLATE "C" PRIMARY KEY, count bigint NOT NULL, last_at bigint NOT NULL
    );
    CREATE TABLE used (
        tenant text COLLATE "C" NOT NULL, day bigint NOT NULL, n bigint NOT NULL,
        PRIMARY KEY (tenant, day)
    );
    CREATE TABLE generation (one bigint PRIMARY KEY CHECK (one = 1), n bigint NOT NULL);
    INSERT INTO generation VALUES (1, 0)
    """,
)


class PostgresqlAccounts(SqlAccounts):
    """Who may ask, in a schema of a database; nothing is connected before it is first asked.

    Args:
        address: ``postgresql://USER@HOST:PORT/DATABASE``; options ``schema``, ``tls``, ``ca`` and
            ``host``.
        password: asked for at each opening of a connection.

    Raises:
        ContractError: it is no such address.
        OutsideError: pg8000 isn't installed.
    """

    name: ClassVar[str] = "postgresql_accounts"

    def __init__(self, address: str, *, password: Password | None = None) -> None:
        super().__init__(
            PostgresStore(
                address, what="store of accounts", migrations=_MIGRATIONS, password=password
            )
        )
