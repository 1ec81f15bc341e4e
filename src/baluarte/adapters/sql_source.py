"""What every source of a database does; a plug-in says how its own is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import ClassVar

from baluarte.adapters.sql_address import SqlAddress, sql_address
from baluarte.adapters.sql_rows import Rows, SqlRows
from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.ports import Quarantine

Password = Callable[[], str | None]  #: reads a secret when it is needed


class SqlSource(ABC):
    """Events of a table or a query, read in one read-only transaction.

    Args:
        password: of the database, asked for when it is opened.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, password: Password | None = None) -> None:
        self.password = password
        self._digests: dict[str, str] = {}

    @abstractmethod
    def opened(self, address: SqlAddress, shown: str) -> AbstractContextManager[Rows]:
        """The rows of an address; ``shown`` is how errors name it."""

    def digest(self, address: str) -> str:
        """``sha256:…`` of the rows, whatever their order: of those that were read last, if any."""
        known = self._digests.get(address)
        if known is None:
            with self.opened(sql_address(address), address) as rows:
                known = SqlRows(rows, address).digest()
        return known

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows."""
        del reading  # a database's values have types
        with self.opened(sql_address(address), address) as rows:
            return SqlRows(rows, address).profile(max_rows)

    def read(
        self,
        address: str,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading = PLAIN,
        quarantine: Quarantine | None = None,
    ) -> Iterator[Events]:
        """Canonical events in batches; see :class:`baluarte.ports.Source`.

        Raises:
            DataError: all faults by row and field, the first ones in words.
            OutsideError: the database can't be reached.
        """
        with self.opened(sql_address(address), address) as rows:
            found = SqlRows(rows, address)
            yield from found.read(
                schema, batch_rows=batch_rows, reading=reading, quarantine=quarantine
            )
            self._digests[address] = found.content.digest()
