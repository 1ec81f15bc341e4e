"""A table or a query of PostgreSQL, through a cursor on the server. Needs the extra ``sql``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from baluarte.adapters.postgres import rolled_back, session
from baluarte.adapters.sql_address import SqlAddress
from baluarte.adapters.sql_rows import Rows
from baluarte.adapters.sql_source import SqlSource


class PostgresqlSource(SqlSource):
    """Events in PostgreSQL: ``postgresql://USER@HOST/DATABASE?table=NAME``, or ``?query=FILE``."""

    name: ClassVar[str] = "postgresql"
    schemes: ClassVar[tuple[str, ...]] = ("postgresql", "postgres")

    @contextmanager
    def opened(self, address: SqlAddress, shown: str) -> Iterator[Rows]:
        """The rows of one read-only transaction; the server keeps what was not fetched yet."""
        with session(address, shown, self.password) as opened, rolled_back(opened):
            opened.run(
                f"DECLARE events NO SCROLL CURSOR FOR {address.statement}", **address.parameters
            )

            def fetch(n: int) -> Sequence[Sequence[Any]]:
                found: Sequence[Sequence[Any]] = opened.run(f"FETCH FORWARD {n} FROM events")
                return found

            opened.run("FETCH FORWARD 0 FROM events")
            yield [column["name"] for column in opened.columns], fetch
