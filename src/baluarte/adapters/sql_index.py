"""The index over the ledger in a SQL database: the same statements for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from baluarte.adapters.sql_store import SqlStore
from baluarte.core.decision_index import IndexedDecision, IndexMark, event_key

_COLUMNS = (
    "shard, place, event, detector, version, role, decided_at, event_at, band, outcome, score, "
    "points"
)
_MOST_IDS = 500  #: that one query asks for


class SqlIndex:
    """Which decisions an event has, and which were made when.

    Args:
        store: with the tables that these statements name.
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

    # --- from the ledger ----------------------------------------------------------------------

    def marks(self) -> dict[str, IndexMark]:
        """How far each shard was read."""
        rows = self._store.read("SELECT shard, size, leaf FROM marks")
        return {tag: IndexMark(size=size, leaf=bytes(leaf)) for tag, size, leaf in rows}

    def add(
        self, tag: str, *, start: int, mark: IndexMark, decisions: Sequence[IndexedDecision]
    ) -> bool:
        """Take in what a shard holds from ``start`` to the mark: decisions and mark, or nothing.

        Returns:
            False where another process was quicker, and nothing was done.
        """
        with self._store.transaction():
            known = self._store.rows("SELECT size FROM marks WHERE shard = ?", tag)
            if (known[0][0] if known else 0) != start:
                return False
            self._store.many(
                f"INSERT INTO decisions ({_COLUMNS}) "  # noqa: S608 - a constant
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [msgspec.structs.astuple(decision) for decision in decisions],
            )
            self._store.rows("DELETE FROM marks WHERE shard = ?", tag)
            self._store.rows("INSERT INTO marks VALUES (?, ?, ?)", tag, mark.size, mark.leaf)
        return True

    def forget(self, tag: str) -> None:
        """Drop all that is known of a shard."""
        with self._store.transaction():
            self._store.rows("DELETE FROM decisions WHERE shard = ?", tag)
            self._store.rows("DELETE FROM marks WHERE shard = ?", tag)

    # --- questions ----------------------------------------------------------------------------

    def of_events(
        self, event_ids: Sequence[str], *, detector: str | None = None
    ) -> dict[str, list[IndexedDecision]]:
        """The decisions of each of these events that has any, oldest first."""
        names = {event_key(event_id): event_id for event_id in event_ids}
        keys, found = sorted(names), dict[str, list[IndexedDecision]]()
        for start in range(0, len(keys), _MOST_IDS):
            some = keys[start : start + _MOST_IDS]
            marks = ", ".join("?" * len(some))
            rows = self._store.read(
                f"SELECT {_COLUMNS} FROM decisions WHERE event IN ({marks}) "  # noqa: S608 - marks
                "ORDER BY decided_at, shard, place",
                *some,
            )
            for row in rows:
                decision = _decision(row)
                if detector in {None, decision.detector}:
                    found.setdefault(names[decision.event], []).append(decision)
        return found

    def spans(
        self, since: int | None, until: int | None, *, detector: str | None = None
    ) -> dict[str, tuple[int, int]]:
        """Of each shard with decisions made in [since, until): the first, and the one after."""
        condition, values = _condition(since, until, detector)
        rows = self._store.read(
            f"SELECT shard, min(place), max(place) FROM decisions{condition} "  # noqa: S608
            "GROUP BY shard ORDER BY shard",
            *values,
        )
        return {tag: (first, last + 1) for tag, first, last in rows}

    def outcomes(
        self, since: int | None, until: int | None, *, detector: str
    ) -> dict[tuple[int, str], int]:
        """How many events a champion decided in [since, until), by band and outcome."""
        condition, values = _condition(since, until, detector)
        rows = self._store.read(
            f"SELECT band, outcome, count(DISTINCT event) FROM decisions{condition} "  # noqa: S608
            "AND role = ? GROUP BY band, outcome ORDER BY band, outcome",
            *values,
            "champion",
        )
        return {(band, outcome): n for band, outcome, n in rows}

    def beside(
        self, since: int | None, until: int | None, *, detector: str, version: int
    ) -> dict[tuple[str, str], int]:
        """How many events a challenger scored in [since, until): champion's outcome and its own."""
        condition, values = _condition(since, until, detector)
        rows = self._store.read(
            "SELECT champions.outcome, shadows.outcome, count(DISTINCT shadows.event) FROM "  # noqa: S608
            f"(SELECT event, outcome, version, role FROM decisions{condition}) AS shadows "
            "JOIN decisions AS champions ON champions.event = shadows.event "
            "WHERE shadows.role = ? AND shadows.version = ? AND champions.role = ? AND "
            "champions.detector = ? GROUP BY champions.outcome, shadows.outcome",
            *values,
            "challenger",
            version,
            "champion",
            detector,
        )
        return {(old, new): n for old, new, n in rows}

    def count(self) -> int:
        """Decisions that are known."""
        return int(self._store.read("SELECT count(*) FROM decisions")[0][0])


def _condition(
    since: int | None, until: int | None, detector: str | None
) -> tuple[str, list[object]]:
    parts = (("decided_at >= ?", since), ("decided_at < ?", until), ("detector = ?", detector))
    said = [(part, value) for part, value in parts if value is not None]
    condition = " WHERE " + " AND ".join(part for part, _ in said) if said else ""
    return condition, [value for _, value in said]


def _decision(row: tuple[Any, ...]) -> IndexedDecision:
    tag, index, event, detector, version, role, decided_at, event_at, *rest = row
    band, outcome, score, points = rest
    return IndexedDecision(
        tag=tag,
        index=index,
        event=bytes(event),
        detector=detector,
        version=version,
        role=role,
        decided_at=decided_at,
        event_at=event_at,
        band=band,
        outcome=outcome,
        score=score,
        points=points,
    )
