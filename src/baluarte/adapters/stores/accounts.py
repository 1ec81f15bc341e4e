"""Accounts, keys and sessions in one SQLite file, beside the registry or in a place of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from baluarte.adapters.sql_accounts import SqlAccounts
from baluarte.adapters.sqlite_file import SqliteFile

# One script a schema version, applied in order; a script that was released is never edited.
_MIGRATIONS = (
    """
    CREATE TABLE accounts (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, grants BLOB NOT NULL,
        hands BLOB NOT NULL, made_at INTEGER NOT NULL, made_by TEXT NOT NULL,
        disabled_at INTEGER, subject TEXT UNIQUE, password TEXT
    ) STRICT;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name), note TEXT NOT NULL,
        mac BLOB NOT NULL, made_at INTEGER NOT NULL, made_by TEXT NOT NULL, until INTEGER NOT NULL,
        revoked_at INTEGER, rate_per_s REAL, burst INTEGER
    ) STRICT;
    CREATE TABLE sessions (
        mac BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES accounts (name),
        made_at INTEGER NOT NULL, until INTEGER NOT NULL, how TEXT NOT NULL
    ) STRICT;
    CREATE TABLE failures (
        name TEXT PRIMARY KEY, count INTEGER NOT NULL, last_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE used (
        tenant TEXT NOT NULL, day INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (tenant, day)
    ) STRICT;
    CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL) STRICT;
    INSERT INTO generation VALUES (1, 0);
    """,
    """
    DELETE FROM sessions;
    ALTER TABLE sessions ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
    """,
)


class SqliteAccounts(SqlAccounts):
    """One file; safe to share between the threads of a process.

    Raises:
        OutsideError: the file can't be opened, is none of these, or is a newer program's.
    """

    name: ClassVar[str] = "accounts"

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteFile(path, what="store of accounts", migrations=_MIGRATIONS))
