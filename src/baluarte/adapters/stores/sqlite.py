"""The registry in one SQLite file: versions, champions, approvals, looks, labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from baluarte.adapters.sqlite_file import SqliteFile
from baluarte.core.registry import LabelIntake, LabelRow, Promotion, Version
from baluarte.errors import DataError

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
)

_VERSIONS = (
    "SELECT detector, version, digest, epoch, sealed_at, sealed_by, trained_by, provisional "
    "FROM versions WHERE detector = ? ORDER BY version"
)
_CHAMPION = (
    "SELECT v.detector, v.version, digest, epoch, sealed_at, sealed_by, trained_by, provisional "
    "FROM promotions AS p JOIN versions AS v USING (detector, version) WHERE p.detector = ? "
    "ORDER BY p.id DESC LIMIT 1"
)


class SqliteRegistry:
    """One registry file; safe to share between the threads of a process.

    Raises:
        OutsideError: the file can't be opened, is no registry, or is a newer program's.
    """

    name: ClassVar[str] = "sqlite"

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, what="registry", migrations=_MIGRATIONS)

    def close(self) -> None:
        """Close the file; nothing may be called after."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- versions and champions ---------------------------------------------------------------

    def add(self, version: Version) -> None:
        """Record a sealed version; its number must be the next one and its epoch the highest.

        Raises:
            DataError: another number or epoch is next, or the digest is known.
        """
        with self._file.transaction():
            (last, epoch), *_ = self._file.rows(
                "SELECT coalesce(max(version), 0), coalesce(max(epoch), 0) FROM versions "
                "WHERE detector = ?",
                version.detector,
            )
            if version.version != last + 1 or version.epoch <= epoch:
                raise DataError(
                    f"the next version of {version.detector} is {last + 1} in epoch {epoch + 1} or "
                    f"later, found {version.version} in epoch {version.epoch}"
                )
            if self._file.rows("SELECT 1 FROM versions WHERE digest = ?", version.digest):
                raise DataError(f"{version.digest} is sealed already")
            self._file.rows(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                version.detector,
                version.version,
                version.digest,
                version.epoch,
                version.sealed_at,
                version.sealed_by,
                version.trained_by,
                int(version.provisional),
            )

    def versions(self, detector: str) -> list[Version]:
        """All versions, oldest first."""
        return [_version(row) for row in self._file.read(_VERSIONS, detector)]

    def detectors(self) -> list[str]:
        """Names of all detectors, sorted."""
        rows = self._file.read("SELECT DISTINCT detector FROM versions ORDER BY detector")
        return [row[0] for row in rows]

    def set_champion(self, promotion: Promotion) -> None:
        """Make a version the one that decides.

        Raises:
            DataError: there is no such version.
        """
        with self._file.transaction():
            self._must_exist(promotion.detector, promotion.version)
            self._file.rows(
                "INSERT INTO promotions (detector, version, at, actor, reason, kind) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                promotion.detector,
                promotion.version,
                promotion.at,
                promotion.actor,
                promotion.reason,
                promotion.kind,
            )

    def champion(self, detector: str) -> Version | None:
        """The version that decides, or None."""
        rows = self._file.read(_CHAMPION, detector)
        return _version(rows[0]) if rows else None

    def champion_epoch(self, detector: str) -> int:
        """Rises by every change of champion, 0 before the first: cheap to poll for a hot swap."""
        rows = self._file.read("SELECT max(id) FROM promotions WHERE detector = ?", detector)
        return rows[0][0] or 0

    def promotions(self, detector: str) -> list[Promotion]:
        """All changes of champion, oldest first."""
        rows = self._file.read(
            "SELECT version, at, actor, reason, kind FROM promotions WHERE detector = ? "
            "ORDER BY id",
            detector,
        )
        return [
            Promotion(detector=detector, version=v, at=at, actor=actor, reason=reason, kind=kind)
            for v, at, actor, reason, kind in rows
        ]

    # --- approvals and looks ------------------------------------------------------------------

    def approve(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record a person's approval of a version.

        Raises:
            DataError: there is no such version, or the person approved it before.
        """
        with self._file.transaction():
            self._must_exist(detector, version)
            known = self._file.rows(
                "SELECT 1 FROM approvals WHERE detector = ? AND version = ? AND actor = ?",
                detector,
                version,
                actor,
            )
            if known:
                raise DataError(f"{actor} approved {detector}@{version} before")
            self._file.rows(
                "INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", detector, version, actor, at, reason
            )

    def approvals(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """(actor, at, reason) of each approval, oldest first."""
        return self._file.read(
            "SELECT actor, at, reason FROM approvals WHERE detector = ? AND version = ? "
            "ORDER BY at, actor",
            detector,
            version,
        )

    def spend_look(
        self, holdout: str, *, detector: str, actor: str, at: int, candidate: str
    ) -> int:
        """Record a look at a holdout (by its data digest) before it happens; its number, from 1."""
        with self._file.transaction():
            spent = self._file.rows("SELECT count(*) FROM looks WHERE holdout = ?", holdout)[0][0]
            number = spent + 1
            self._file.rows(
                "INSERT INTO looks VALUES (?, ?, ?, ?, ?, ?)",
                holdout,
                number,
                detector,
                actor,
                at,
                candidate,
            )
        return int(number)

    def looks(self, holdout: str) -> int:
        """Looks spent on a holdout so far."""
        return int(self._file.read("SELECT count(*) FROM looks WHERE holdout = ?", holdout)[0][0])

    # --- labels -------------------------------------------------------------------------------

    def add_labels(self, detector: str, rows: Sequence[LabelRow]) -> LabelIntake:
        """Keep what sources said about events: all rows or none; nothing is ever overwritten."""
        new = corrections = conflicts = 0
        with self._file.transaction():
            for row in rows:
                said = dict[str, int]()  # source to its newest word; later rows overwrite
                for source, label in self._file.rows(
                    "SELECT source, label FROM labels WHERE detector = ? AND event_id = ? "
                    "ORDER BY at, id",
                    detector,
                    row.event_id,
                ):
                    said[source] = label
                before = said.pop(row.source, None)
                if before == row.label:
                    continue
                if before is not None:
                    corrections += 1
                elif not said:
                    new += 1
                if any(label != row.label for label in said.values()):
                    conflicts += 1
                self._file.rows(
                    "INSERT INTO labels (detector, event_id, label, at, source, taken_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    detector,
                    row.event_id,
                    row.label,
                    row.at,
                    row.source,
                    row.taken_at,
                )
        return LabelIntake(new=new, corrections=corrections, conflicts=conflicts)

    def labels(self, detector: str) -> dict[str, LabelRow]:
        """The label of each event: what was said last (by its time) counts."""
        rows = self._file.read(
            "SELECT event_id, label, at, source, taken_at FROM newest_labels WHERE detector = ? "
            "ORDER BY at, id",
            detector,
        )
        return {row[0]: _label(row) for row in rows}

    def label_conflicts(self, detector: str) -> list[LabelRow]:
        """The newest word of each source about the events on which sources differ."""
        rows = self._file.read(
            "WITH newest AS (SELECT * FROM newest_labels WHERE detector = ?) "
            "SELECT event_id, label, at, source, taken_at FROM newest WHERE event_id IN ("
            "SELECT event_id FROM newest GROUP BY event_id HAVING min(label) < max(label)"
            ") ORDER BY event_id, at, id",
            detector,
        )
        return [_label(row) for row in rows]

    # --- within -------------------------------------------------------------------------------

    def _must_exist(self, detector: str, version: int) -> None:
        if not self._file.rows(
            "SELECT 1 FROM versions WHERE detector = ? AND version = ?", detector, version
        ):
            raise DataError(f"there is no version {detector}@{version}")


def _version(row: tuple[Any, ...]) -> Version:
    detector, version, digest, epoch, sealed_at, sealed_by, trained_by, provisional = row
    return Version(
        detector=detector,
        version=version,
        digest=digest,
        epoch=epoch,
        sealed_at=sealed_at,
        sealed_by=sealed_by,
        trained_by=trained_by,
        provisional=bool(provisional),
    )


def _label(row: tuple[Any, ...]) -> LabelRow:
    event_id, label, at, source, taken_at = row
    return LabelRow(event_id=event_id, label=label, at=at, source=source, taken_at=taken_at)
