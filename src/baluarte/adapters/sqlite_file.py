"""A store in one SQLite file: opened, brought up to date and used in one way.

Write-ahead log, full synchronisation: what was acknowledged survives a power cut. Every change is
one immediate transaction, so that two processes never both win.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from baluarte.errors import DataError, OutsideError

_BUSY_S = 10.0


class SqliteFile:
    """One file; safe to share between the threads of a process.

    Args:
        what: what it is, as messages call it: ``registry``.
        migrations: one script a schema version, applied in order; a script that was released is
            never edited.
        pragmas: more of them, such as ``secure_delete = ON``, set at each opening.

    Raises:
        OutsideError: the file can't be opened, is no database, or is a newer program's.
    """

    def __init__(
        self, path: Path, *, what: str, migrations: Sequence[str], pragmas: Sequence[str] = ()
    ) -> None:
        self._path, self._what, self._lock = path, what, threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise OutsideError(
                f"the {what} can't be opened: {os.strerror(error.errno or 0)}", where=str(path)
            ) from error
        with self.wrapped():
            self._db = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        try:
            with self.wrapped():
                for pragma in (
                    "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", *pragmas,
                ):  # fmt: skip
                    self._db.execute(f"PRAGMA {pragma}")
            self._migrate(migrations)
        except BaseException:
            self._db.close()
            raise

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    def close(self) -> None:
        """Close the file; nothing may be called after."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query, outside of any transaction."""
        with self._lock, self.wrapped():
            return self.rows(sql, *values)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a statement, within :meth:`transaction`."""
        return self._db.execute(sql, values).fetchall()

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each of many rows, within :meth:`transaction`."""
        self._db.executemany(sql, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing.

        Raises:
            OutsideError: the file refused.
        """
        with self._lock, self.wrapped():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def wrapped(self) -> Iterator[None]:
        """Turn what SQLite raises into an error for who must act.

        Raises:
            DataError: a number is wider than 64 bits.
            OutsideError: the file refused.
        """
        try:
            yield
        except OverflowError as error:
            raise DataError("expected whole numbers of 64 bits", where=str(self._path)) from error
        except sqlite3.Error as error:
            busy = "locked" in str(error) or "busy" in str(error)
            raise OutsideError(
                f"the {self._what} refused: {error}",
                where=str(self._path),
                hint="Another process holds it." if busy else "Check the file and the disk.",
                retryable=busy,
            ) from error

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.transaction():
            done = self.rows("PRAGMA user_version")[0][0]
            if done > len(migrations):
                raise OutsideError(
                    f"the {self._what} has schema {done}, this program knows {len(migrations)}",
                    where=str(self._path),
                    hint="Use the newer version of baluarte that wrote it.",
                )
            for script in migrations[done:]:
                for statement in script.split(";"):
                    if statement.strip():
                        self.rows(statement)
            self.rows(f"PRAGMA user_version = {len(migrations)}")
