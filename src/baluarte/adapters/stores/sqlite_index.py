"""The index over the ledger in one SQLite file, which can be removed and made again."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from baluarte.adapters.sql_index import SqlIndex
from baluarte.adapters.sqlite_file import SqliteFile

# One script a schema version, applied in order; a script that was released is never edited.
_MIGRATIONS = (
    """
    CREATE TABLE decisions (
        shard TEXT NOT NULL, place INTEGER NOT NULL, event BLOB NOT NULL, detector TEXT NOT NULL,
        version INTEGER NOT NULL, role TEXT NOT NULL, decided_at INTEGER NOT NULL,
        event_at INTEGER NOT NULL, band INTEGER NOT NULL, outcome TEXT NOT NULL,
        score INTEGER NOT NULL, points INTEGER NOT NULL,
        PRIMARY KEY (shard, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX decisions_by_event ON decisions (event);
    CREATE INDEX decisions_by_time ON decisions (decided_at);
    CREATE TABLE marks (
        shard TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL, leaf BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


class SqliteIndex(SqlIndex):
    """One file. A power cut may take the last rows together with the mark: they are read again.

    Raises:
        OutsideError: the file can't be opened, is no index, or is a newer program's.
    """

    name: ClassVar[str] = "sqlite_index"

    def __init__(self, path: Path) -> None:
        super().__init__(
            SqliteFile(
                path,
                what="index",
                migrations=_MIGRATIONS,
                pragmas=("synchronous = NORMAL", "secure_delete = ON"),
            )
        )
