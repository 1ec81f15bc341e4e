"""Rows appended to a table of PostgreSQL by COPY, in one transaction. Needs the extra ``sql``."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from baluarte.adapters.batches import same_columns
from baluarte.adapters.postgres import session
from baluarte.adapters.sql_address import sql_address
from baluarte.adapters.sql_columns import kinds_of, quoted, rows_of
from baluarte.adapters.sql_source import Password
from baluarte.errors import ContractError

_TYPES = {"boolean": "boolean", "integer": "bigint", "number": "double precision", "text": "text"}


# Source: PostgreSQL's documentation of COPY, "Text Format".
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class PostgresqlSink:
    """Decisions in PostgreSQL: ``postgresql://USER@HOST/DATABASE?table=NAME``, made if need be.

    Args:
        password: of the database, asked for when it is opened.
    """

    name: ClassVar[str] = "postgresql"
    suffixes: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ("postgresql", "postgres")

    def __init__(self, password: Password | None = None) -> None:
        self.password = password

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Append all batches of columns and return the number of rows; all of it or nothing."""
        asked = sql_address(address)
        if not asked.table:
            raise ContractError("expected ?table=NAME to write to", where=address)
        n = 0
        with session(asked, address, self.password) as opened:
            opened.run("START TRANSACTION")  # what is not committed is gone with the session
            for columns in same_columns(batches, address):
                if n == 0:
                    kinds = kinds_of(columns)
                    described = ", ".join(f"{quoted(c)} {_TYPES[kinds[c]]}" for c in columns)
                    opened.run(f"CREATE TABLE IF NOT EXISTS {asked.table} ({described})")
                    names = ", ".join(map(quoted, columns))
                rows = ["\t".join(map(_cell, row)) for row in rows_of(columns, kinds)]
                text = io.StringIO("\n".join(rows) + "\n")
                opened.run(f"COPY {asked.table} ({names}) FROM STDIN", stream=text)
                n += len(rows)
            opened.run("COMMIT")
        return n


def _cell(value: Any) -> str:
    """A value in COPY's text format."""
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else repr(value)
