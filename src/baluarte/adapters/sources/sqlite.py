"""A table or a query of an SQLite file, opened read-only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from baluarte.adapters.sql_address import SqlAddress
from baluarte.adapters.sql_rows import Rows
from baluarte.adapters.sql_source import SqlSource
from baluarte.errors import DataError


class SqliteSource(SqlSource):
    """Events in SQLite: ``sqlite:FILE?table=NAME`` or ``?query=FILE.sql``."""

    name: ClassVar[str] = "sqlite"
    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    @contextmanager
    def opened(self, address: SqlAddress, shown: str) -> Iterator[Rows]:
        """The rows; nothing can be written through it."""
        path = Path(address.place.partition(":")[2])
        if not path.is_file():
            raise DataError("expected a file, found none", where=shown)
        try:
            uri = f"file:{quote(str(path.resolve()))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as database:
                database.execute("PRAGMA query_only = 1")
                cursor = database.execute(address.statement, dict(address.parameters))
                names = [column[0] for column in cursor.description]
                yield names, cursor.fetchmany
        except sqlite3.Error as error:
            raise DataError(f"the database refused: {error}", where=shown) from error
