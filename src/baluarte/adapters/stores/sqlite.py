"""The registry in one SQLite file: versions, champions, approvals, looks, labels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from baluarte.adapters.sql_registry import SqlRegistry
from baluarte.adapters.sqlite_file import SqliteFile

# One script a schema version, applied in order; a script that was released is never edited.
_MIGRATIONS = (
    """
    CREATE TABLE versions (
        detector TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL UNIQUE,
        epoch INTEGER NOT NULL, sealed_at INTEGER NOT NULL, sealed_by TEXT NOT NULL,
        trained_by TEXT NOT NULL, provisional INTEGER NOT NULL,
        PRIMARY KEY (detector, version), UNIQUE (detector, epoch)
    ) STRICT;
    CREATE TABLE promotions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, detector TEXT NOT NULL, version INTEGER NOT NULL,
        at INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, kind TEXT NOT NULL,
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    ) STRICT;
    CREATE INDEX promotions_by_detector ON promotions (detector, id);
    CREATE TABLE approvals (
        detector TEXT NOT NULL, version INTEGER NOT NULL, actor TEXT NOT NULL,
        at INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (detector, version, actor),
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    ) STRICT;
    CREATE TABLE looks (
        holdout TEXT NOT NULL, number INTEGER NOT NULL, detector TEXT NOT NULL,
        actor TEXT NOT NULL, at INTEGER NOT NULL, candidate TEXT NOT NULL,
        PRIMARY KEY (holdout, number)
    ) STRICT;
    CREATE TABLE labels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, detector TEXT NOT NULL, event_id TEXT NOT NULL,
        label INTEGER NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL
    ) STRICT;
    CREATE INDEX labels_by_event ON labels (detector, event_id, at, id);
    CREATE VIEW newest_labels AS
        SELECT id, detector, event_id, label, at, source FROM (
            SELECT *, row_number() OVER (
                PARTITION BY detector, event_id, source ORDER BY at DESC, id DESC
            ) AS age FROM labels
        ) WHERE age = 1;
    """,
    """
    ALTER TABLE labels ADD COLUMN taken_at INTEGER NOT NULL DEFAULT 0;
    DROP VIEW newest_labels;
    CREATE VIEW newest_labels AS
        SELECT id, detector, event_id, label, at, source, taken_at FROM (
            SELECT *, row_number() OVER (
                PARTITION BY detector, event_id, source ORDER BY at DESC, id DESC
            ) AS age FROM labels
        ) WHERE age = 1;
    """,
    """
    CREATE TABLE declines (
        detector TEXT NOT NULL, version INTEGER NOT NULL, actor TEXT NOT NULL,
        at INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (detector, version, actor),
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    ) STRICT;
    """,
    """
    CREATE TABLE shadows (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        detector TEXT NOT NULL, version INTEGER NOT NULL,
        at INTEGER NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL,
        kind TEXT NOT NULL,
        FOREIGN KEY (detector, version) REFERENCES versions (detector, version)
    ) STRICT;
    CREATE INDEX shadows_by_version ON shadows (detector, version, id);
    CREATE TABLE workers (
        worker TEXT PRIMARY KEY, seen_at INTEGER NOT NULL, said TEXT NOT NULL
    ) STRICT;
    """,
)


class SqliteRegistry(SqlRegistry):
    """One registry file; safe to share between the threads of a process.

    Raises:
        OutsideError: the file can't be opened, is no registry, or is a newer program's.
    """

    name: ClassVar[str] = "sqlite"

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteFile(path, what="registry", migrations=_MIGRATIONS))
