"""Events of the past laid down on disk, and given back in the order of time, some at a time.

SQLite's private temporary database: a file without a name in the system's folder for such files
(``TMPDIR``), which is gone when it is closed, however the process ends; small ones never reach the
disk. Its own sorter puts them in order, in bounded memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec

from baluarte.core.event import Values
from baluarte.core.window_plan import WindowPlan
from baluarte.core.windows import Seen
from baluarte.errors import OutsideError

_CACHE_KIB = 8_192
_TABLES = (
    f"PRAGMA cache_size = -{_CACHE_KIB}",
    "PRAGMA temp_store = FILE",
    "CREATE TABLE past (at INTEGER, label INTEGER, record BLOB NOT NULL)",
    "CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID",
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Values).decode


class HistoryFile:
    """The past of one detector, while its window features are made anew.

    Args:
        knows_ids: whether it will be asked which events are in it.

    Raises:
        OutsideError: there is no room for it.
    """

    def __init__(self, plan: WindowPlan, *, knows_ids: bool = True) -> None:
        self.n = 0  #: events in it
        self._time, self._id = plan.time, plan.event_id if knows_ids else None
        with _wrapped():
            self._db = sqlite3.connect("", isolation_level=None)
            for statement in (*_TABLES, "BEGIN"):
                self._db.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, events: Sequence[Seen]) -> None:
        """Lay down more events, in any order of time.

        Raises:
            OutsideError: there is no room for them.
        """
        self.n += len(events)
        with _wrapped():
            self._db.executemany(
                "INSERT INTO past VALUES (?, ?, ?)",
                ((e.record.get(self._time), e.label, _encode(e.record)) for e in events),
            )
            if self._id is not None:
                ids = (e.record.get(self._id) for e in events)
                self._db.executemany(
                    "INSERT OR IGNORE INTO ids VALUES (?)",
                    ((str(each),) for each in ids if each is not None),
                )

    def __contains__(self, event_id: object) -> bool:
        """Whether an event of this id is among them."""
        with _wrapped():
            found = self._db.execute("SELECT 1 FROM ids WHERE id = ?", (event_id,)).fetchone()
        return found is not None

    def in_order(self, n: int) -> Iterator[list[Seen]]:
        """All events by their time, as they came where that is the same, at most ``n`` at a time.

        Those without a time come last.
        """
        for _, seen in self.numbered(n):
            yield seen

    def numbered(self, n: int) -> Iterator[tuple[list[int], list[Seen]]]:
        """The same, each with its number: 0 for the event that was laid down first."""
        with _wrapped():
            rows = self._db.execute(
                "SELECT rowid - 1, label, record FROM past ORDER BY at IS NULL, at, rowid"
            )
            while found := rows.fetchmany(n):
                seen = [Seen(record=_decode(record), label=label) for _, label, record in found]
                yield [number for number, _, _ in found], seen


@contextlib.contextmanager
def _wrapped() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutsideError(
            f"events of the past can't be laid down on disk: {error}",
            where="the folder for temporary files",
            hint="Make room there, or name a folder that has it: TMPDIR.",
        ) from error
