"""Rows appended to a table of an SQLite file, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from baluarte.adapters.batches import same_columns
from baluarte.adapters.sql_address import sql_address
from baluarte.adapters.sql_columns import kinds_of, quoted, rows_of
from baluarte.adapters.sql_source import Password
from baluarte.errors import ContractError, DataError, OutsideError

_TYPES = {"boolean": "BOOLEAN", "integer": "INTEGER", "number": "REAL", "text": "TEXT"}
_BUSY_S = 30.0


class SqliteSink:
    """Decisions in SQLite: ``sqlite:FILE?table=NAME``; the file and the table are made if need be.

    Args:
        password: SQLite has none.
    """

    name: ClassVar[str] = "sqlite"
    suffixes: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    def __init__(self, password: Password | None = None) -> None:
        del password

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Append all batches of columns and return the number of rows; all of it or nothing."""
        asked = sql_address(address)
        if not asked.table:
            raise ContractError("expected ?table=NAME to write to", where=address)
        path = Path(asked.place.partition(":")[2])
        if not path.parent.is_dir():
            raise DataError("expected a folder to write into, found none", where=str(path.parent))
        made = not path.exists()
        n = 0
        try:
            with closing(sqlite3.connect(path, timeout=_BUSY_S)) as database, database:
                database.execute("BEGIN IMMEDIATE")
                for columns in same_columns(batches, address):
                    if n == 0:
                        kinds = kinds_of(columns)
                        database.execute(
                            f"CREATE TABLE IF NOT EXISTS {asked.table} ("
                            + ", ".join(f"{quoted(c)} {_TYPES[kinds[c]]}" for c in columns)
                            + ")"
                        )
                        names = ", ".join(map(quoted, columns))
                        marks = ", ".join("?" * len(columns))
                        insert = f"INSERT INTO {asked.table} ({names}) VALUES ({marks})"  # noqa: S608 - quoted
                    rows = list(rows_of(columns, kinds))
                    database.executemany(insert, rows)
                    n += len(rows)
            made = False
        except sqlite3.Error as error:
            raise OutsideError(f"the database refused: {error}", where=address) from error
        finally:
            if made:
                path.unlink(missing_ok=True)
        return n
