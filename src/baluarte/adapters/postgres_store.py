"""A store in a PostgreSQL database, used as :class:`SqliteFile` is. Extra ``sql``.

One connection a process, opened when it is first needed, so that a data plane starts while the
database is away. Tables stand in a schema of their own. Who changes something holds an advisory
lock till the end of the transaction: two processes never both win, and ids rise in the order of the
commits, as in SQLite. A connection that was lost is opened anew: for a query at once, since it
changes nothing; a transaction that had begun is given up, since nobody knows how far it came.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from baluarte.adapters.postgres import away, connected, driver_of_postgres, reason
from baluarte.adapters.sql_address import server_address
from baluarte.adapters.sql_source import Password
from baluarte.errors import ContractError, DataError, OutsideError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_MOST_VALUES = 16_000  #: of one statement; the protocol counts them in 16 bits
_WAIT = "10s"  #: for another process's transaction, as SQLite's busy timeout
# Source: PostgreSQL's documentation, appendix A (error codes): class 08 connection, 57P0x shut down
# or terminated; 40 rolled back, 53 resources, 55P03 lock not available, 25 a read-only standby.
_LOST = ("08", "57P0")
_AGAIN = ("40", "53", "55P03", "57", "08", "25006")
_OUR_DATA = ("22",)  #: a value that no column of ours can hold


class PostgresStore:
    """Tables in one schema of a database; safe to share between the threads of a process.

    Args:
        address: ``postgresql://USER@HOST:PORT/DATABASE?schema=NAME`` (default: ``baluarte``).
        what: what it is, as messages call it: ``registry``.
        migrations: one script a schema version, applied in order; a script that was released is
            never edited.
        password: asked for at each opening of a connection.

    Raises:
        ContractError: it is no such address.
        OutsideError: pg8000 isn't installed.
    """

    def __init__(
        self,
        address: str,
        *,
        what: str,
        migrations: Sequence[str],
        password: Password | None = None,
    ) -> None:
        self._address, self._what = server_address(address), what
        self._shown, self._password = self._address.place, password
        self._migrations = migrations
        self._schema = self._address.options.get("schema", "baluarte")
        if not _SCHEMA.fullmatch(self._schema):
            raise ContractError(
                f"expected a schema of small letters, digits and _; found {self._schema!r}",
                where=address,
            )
        self._driver = driver_of_postgres(self._shown)
        self._key = _lock_key(f"baluarte/{self._schema}/{what}")
        self._lock = threading.RLock()
        self._db: Any = None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query; asked once more where the connection had been lost meanwhile."""
        with self._lock, self._wrapped():
            was_open = self._db is not None
            self._open()
            try:
                return self.rows(sql, *values)
            except Exception as error:
                if not (was_open and self._is_lost(error)):
                    raise
            self._drop()
            self._open()
            return self.rows(sql, *values)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a statement, within :meth:`transaction`."""
        parts = sql.split("?")
        named = "".join(f"{part}:p{i}" for i, part in enumerate(parts[:-1])) + parts[-1]
        found = self._db.run(named, **{f"p{i}": value for i, value in enumerate(values)})
        return [tuple(row) for row in found or ()]

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One INSERT … VALUES (…) of many rows, in few statements, within :meth:`transaction`."""
        head, _, group = sql.rpartition(" VALUES ")
        at_once = _MOST_VALUES // max(1, group.count("?"))
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            groups = ", ".join([group] * len(some))
            self.rows(f"{head} VALUES {groups}", *(value for row in some for value in row))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing.

        Raises:
            OutsideError: the database is away, or refused.
        """
        with self._lock, self._wrapped():
            self._begin()
            try:
                yield
            except BaseException as error:
                if self._is_lost(error):
                    self._drop()
                else:
                    with suppress(Exception):
                        self._db.run("ROLLBACK")
                raise
            self._db.run("COMMIT")

    # --- the connection -----------------------------------------------------------------------

    def _begin(self) -> None:
        """Start a transaction that is alone, on a connection that is there."""
        was_open = self._db is not None
        self._open()
        try:
            self._lock_store()
        except Exception as error:
            if not (was_open and self._is_lost(error)):
                raise
            self._drop()
            self._open()
            self._lock_store()

    def _lock_store(self) -> None:
        self._db.run("BEGIN")
        try:
            self.rows("SELECT pg_advisory_xact_lock(?)", self._key)
        except BaseException:
            with suppress(Exception):
                self._db.run("ROLLBACK")
            raise

    def _open(self) -> None:
        if self._db is not None:
            return
        self._db = connected(self._driver, self._address, self._password)
        try:
            self._db.run(f"SET search_path TO {self._schema}")
            self._db.run(f"SET lock_timeout TO '{_WAIT}'")
            self._migrate()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        opened, self._db = self._db, None
        if opened is not None:
            with suppress(Exception):
                opened.close()

    def _migrate(self) -> None:
        """Bring the tables up to this program's schema; most openings only look."""
        known = self.rows("SELECT to_regclass(?)", f"{self._schema}.schema_versions")
        if known[0][0] is not None and self._version() == len(self._migrations):
            return
        self._lock_store()
        try:
            if not self.rows("SELECT 1 FROM pg_namespace WHERE nspname = ?", self._schema):
                self._db.run(f"CREATE SCHEMA {self._schema}")
            self._db.run(
                "CREATE TABLE IF NOT EXISTS schema_versions "
                "(store text PRIMARY KEY, version bigint NOT NULL)"
            )
            for script in self._migrations[self._known_version() :]:
                for statement in script.split(";"):
                    if statement.strip():
                        self._db.run(statement)
            self.rows(
                "INSERT INTO schema_versions VALUES (?, ?) "
                "ON CONFLICT (store) DO UPDATE SET version = excluded.version",
                self._what,
                len(self._migrations),
            )
        except BaseException:
            with suppress(Exception):
                self._db.run("ROLLBACK")
            raise
        self._db.run("COMMIT")

    def _known_version(self) -> int:
        done = self._version()
        if done > len(self._migrations):
            raise OutsideError(
                f"the {self._what} has schema {done}, this program knows {len(self._migrations)}",
                where=self._shown,
                hint="Use the newer version of baluarte that wrote it.",
            )
        return done

    def _version(self) -> int:
        rows = self.rows("SELECT version FROM schema_versions WHERE store = ?", self._what)
        return int(rows[0][0]) if rows else 0

    # --- errors -------------------------------------------------------------------------------

    def _is_lost(self, error: BaseException) -> bool:
        """Whether the connection is gone."""
        if isinstance(error, self._driver.DatabaseError):
            return _code(error).startswith(_LOST)
        return isinstance(error, self._driver.InterfaceError | OSError)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        """Turn what pg8000 raises into an error for who must act.

        Raises:
            DataError: a value that no column of ours can hold.
            OutsideError: the database is away, or refused.
        """
        try:
            yield
        except self._driver.DatabaseError as error:
            if self._is_lost(error):
                self._drop()
            code = _code(error)
            if code.startswith(_OUR_DATA):
                raise DataError(
                    f"expected whole numbers of 64 bits and text without NUL: {reason(error)}",
                    where=self._shown,
                ) from error
            raise OutsideError(
                f"the {self._what} refused: {reason(error)}",
                where=self._shown,
                hint="Check the database, its rights and its log.",
                retryable=code.startswith(_AGAIN),
            ) from error
        except (self._driver.InterfaceError, OSError) as error:
            self._drop()
            raise away(error, self._shown) from error


def _code(error: BaseException) -> str:
    """PostgreSQL's five letters of an error."""
    told = error.args[0] if error.args else {}
    return str(told.get("C", "")) if isinstance(told, dict) else ""


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
