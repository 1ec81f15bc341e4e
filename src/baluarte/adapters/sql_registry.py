"""The registry in a SQL database: what is asked of SQLite and of PostgreSQL in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from baluarte.adapters.sql_store import SqlStore
from baluarte.core.registry import (
    LabelIntake,
    LabelRow,
    Promotion,
    Shadowing,
    Version,
    WorkerState,
)
from baluarte.errors import DataError

_VERSIONS = (
    "SELECT detector, version, digest, epoch, sealed_at, sealed_by, trained_by, provisional "
    "FROM versions WHERE detector = ? ORDER BY version"
)
_CHAMPION = (
    "SELECT v.detector, v.version, digest, epoch, sealed_at, sealed_by, trained_by, provisional "
    "FROM promotions AS p JOIN versions AS v USING (detector, version) WHERE p.detector = ? "
    "ORDER BY p.id DESC LIMIT 1"
)
_CHALLENGERS = (
    "SELECT v.detector, v.version, digest, epoch, sealed_at, sealed_by, trained_by, provisional "
    "FROM shadows AS s JOIN versions AS v USING (detector, version) WHERE s.detector = ? AND "
    "s.kind = 'shadow' AND s.id IN (SELECT max(id) FROM shadows GROUP BY detector, version) "
    "ORDER BY v.version"
)
_DAY_US = 86_400_000_000
_MOST_IDS = 500  #: that one query asks for


class SqlRegistry:
    """Versions, champions, approvals, looks and labels in one database.

    Args:
        store: with the tables and the view that these statements name.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def close(self) -> None:
        """Close the store; nothing may be called after."""
        self._store.close()

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
        with self._store.transaction():
            (last, epoch), *_ = self._store.rows(
                "SELECT coalesce(max(version), 0), coalesce(max(epoch), 0) FROM versions "
                "WHERE detector = ?",
                version.detector,
            )
            if version.version != last + 1 or version.epoch <= epoch:
                raise DataError(
                    f"the next version of {version.detector} is {last + 1} in epoch {epoch + 1} or "
                    f"later, found {version.version} in epoch {version.epoch}"
                )
            if self._store.rows("SELECT 1 FROM versions WHERE digest = ?", version.digest):
                raise DataError(f"{version.digest} is sealed already")
            self._store.rows(
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
        return [_version(row) for row in self._store.read(_VERSIONS, detector)]

    def detectors(self) -> list[str]:
        """Names of all detectors, sorted."""
        rows = self._store.read("SELECT DISTINCT detector FROM versions ORDER BY detector")
        return [row[0] for row in rows]

    def set_champion(self, promotion: Promotion) -> None:
        """Make a version the one that decides.

        Raises:
            DataError: there is no such version.
        """
        with self._store.transaction():
            self._must_exist(promotion.detector, promotion.version)
            self._store.rows(
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
        rows = self._store.read(_CHAMPION, detector)
        return _version(rows[0]) if rows else None

    def champion_epoch(self, detector: str) -> int:
        """Rises by every change of champion, 0 before the first: cheap to poll for a hot swap."""
        rows = self._store.read("SELECT max(id) FROM promotions WHERE detector = ?", detector)
        return rows[0][0] or 0

    def shadow(self, change: Shadowing) -> None:
        """Let a version score beside the one that decides, or end it.

        Raises:
            DataError: there is no such version.
        """
        with self._store.transaction():
            self._must_exist(change.detector, change.version)
            self._store.rows(
                "INSERT INTO shadows (detector, version, at, actor, reason, kind) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                change.detector,
                change.version,
                change.at,
                change.actor,
                change.reason,
                change.kind,
            )

    def challengers(self, detector: str) -> list[Version]:
        """The versions that score beside the one that decides, oldest first."""
        return [_version(row) for row in self._store.read(_CHALLENGERS, detector)]

    def beat(self, state: WorkerState) -> None:
        """Keep what a worker says of itself; those unheard of for a day go."""
        with self._store.transaction():
            self._store.rows("DELETE FROM workers WHERE worker = ?", state.worker)
            self._store.rows("DELETE FROM workers WHERE seen_at < ?", state.seen_at - _DAY_US)
            said = msgspec.json.encode(state).decode()
            self._store.rows(
                "INSERT INTO workers VALUES (?, ?, ?)", state.worker, state.seen_at, said
            )

    def leave(self, worker: str) -> None:
        """A worker ends."""
        with self._store.transaction():
            self._store.rows("DELETE FROM workers WHERE worker = ?", worker)

    def workers(self) -> list[WorkerState]:
        """What workers said last, by name."""
        rows = self._store.read("SELECT said FROM workers ORDER BY worker")
        return [msgspec.json.decode(said, type=WorkerState) for (said,) in rows]

    def promotions(self, detector: str) -> list[Promotion]:
        """All changes of champion, oldest first."""
        rows = self._store.read(
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
        with self._store.transaction():
            self._must_exist(detector, version)
            known = self._store.rows(
                "SELECT 1 FROM approvals WHERE detector = ? AND version = ? AND actor = ?",
                detector,
                version,
                actor,
            )
            if known:
                raise DataError(f"{actor} approved {detector}@{version} before")
            self._store.rows(
                "INSERT INTO approvals VALUES (?, ?, ?, ?, ?)", detector, version, actor, at, reason
            )

    def approvals(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """(actor, at, reason) of each approval, oldest first."""
        return self._store.read(
            "SELECT actor, at, reason FROM approvals WHERE detector = ? AND version = ? "
            "ORDER BY at, actor",
            detector,
            version,
        )

    def decline(self, detector: str, version: int, *, actor: str, at: int, reason: str) -> None:
        """Record that a person declined a version.

        Raises:
            DataError: there is no such version, or the person declined it before.
        """
        with self._store.transaction():
            self._must_exist(detector, version)
            known = self._store.rows(
                "SELECT 1 FROM declines WHERE detector = ? AND version = ? AND actor = ?",
                detector,
                version,
                actor,
            )
            if known:
                raise DataError(f"{actor} declined {detector}@{version} before")
            self._store.rows(
                "INSERT INTO declines VALUES (?, ?, ?, ?, ?)", detector, version, actor, at, reason
            )

    def declines(self, detector: str, version: int) -> list[tuple[str, int, str]]:
        """(actor, at, reason) of each time it was declined, oldest first."""
        return self._store.read(
            "SELECT actor, at, reason FROM declines WHERE detector = ? AND version = ? "
            "ORDER BY at, actor",
            detector,
            version,
        )

    def spend_look(
        self, holdout: str, *, detector: str, actor: str, at: int, candidate: str
    ) -> int:
        """Record a look at a holdout (by its data digest) before it happens; its number, from 1."""
        with self._store.transaction():
            spent = self._store.rows("SELECT count(*) FROM looks WHERE holdout = ?", holdout)[0][0]
            number = spent + 1
            self._store.rows(
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
        return int(self._store.read("SELECT count(*) FROM looks WHERE holdout = ?", holdout)[0][0])

    # --- labels -------------------------------------------------------------------------------

    def add_labels(self, detector: str, rows: Sequence[LabelRow]) -> LabelIntake:
        """Keep what sources said about events: all rows or none; nothing is ever overwritten."""
        new = corrections = conflicts = 0
        with self._store.transaction():
            for start in range(0, len(rows), _MOST_IDS):
                some = rows[start : start + _MOST_IDS]
                said = self._said(detector, {row.event_id for row in some})
                kept = []
                for row in some:
                    words = said.setdefault(row.event_id, {})
                    at, before = words.get(row.source, (row.at, None))
                    others = {label for source, (_, label) in words.items() if source != row.source}
                    if before == row.label:
                        continue
                    corrections += before is not None
                    new += not words
                    conflicts += bool(others - {row.label})
                    kept.append(row)
                    if row.at >= at:  # a word that comes late doesn't overrule a later one
                        words[row.source] = (row.at, row.label)
                self._store.many(
                    "INSERT INTO labels (detector, event_id, label, at, source, taken_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [(detector, r.event_id, r.label, r.at, r.source, r.taken_at) for r in kept],
                )
        return LabelIntake(new=new, corrections=corrections, conflicts=conflicts)

    def labels(self, detector: str) -> dict[str, LabelRow]:
        """The label of each event: what was said last (by its time) counts."""
        rows = self._store.read(
            "SELECT event_id, label, at, source, taken_at FROM newest_labels WHERE detector = ? "
            "ORDER BY at, id",
            detector,
        )
        return {row[0]: _label(row) for row in rows}

    def labels_of(self, detector: str, event_ids: Sequence[str]) -> dict[str, LabelRow]:
        """The labels of these events, where they have any; as :meth:`labels`."""
        found: dict[str, LabelRow] = {}
        for start in range(0, len(event_ids), _MOST_IDS):
            some = event_ids[start : start + _MOST_IDS]
            marks = ", ".join("?" * len(some))
            rows = self._store.read(
                "SELECT event_id, label, at, source, taken_at FROM newest_labels "  # noqa: S608 - marks
                f"WHERE detector = ? AND event_id IN ({marks}) ORDER BY at, id",
                detector,
                *some,
            )
            found.update((row[0], _label(row)) for row in rows)
        return found

    def label_conflicts(self, detector: str) -> list[LabelRow]:
        """The newest word of each source about the events on which sources differ."""
        rows = self._store.read(
            "WITH newest AS (SELECT * FROM newest_labels WHERE detector = ?) "
            "SELECT event_id, label, at, source, taken_at FROM newest WHERE event_id IN ("
            "SELECT event_id FROM newest GROUP BY event_id HAVING min(label) < max(label)"
            ") ORDER BY event_id, at, id",
            detector,
        )
        return [_label(row) for row in rows]

    # --- within -------------------------------------------------------------------------------

    def _said(self, detector: str, events: set[str]) -> dict[str, dict[str, tuple[int, int]]]:
        """What each source said last of these events: event to source to (when, label)."""
        said: dict[str, dict[str, tuple[int, int]]] = {}
        marks = ", ".join("?" * len(events))
        for event_id, source, at, label in self._store.rows(
            "SELECT event_id, source, at, label FROM labels "  # noqa: S608 - marks only
            f"WHERE detector = ? AND event_id IN ({marks}) ORDER BY at, id",
            detector,
            *sorted(events),
        ):
            said.setdefault(event_id, {})[source] = (at, label)
        return said

    def _must_exist(self, detector: str, version: int) -> None:
        if not self._store.rows(
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
