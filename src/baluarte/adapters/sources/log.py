"""Logs: JSON lines or Zeek's own tables, as the first line of the file says, plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from baluarte.adapters.csv_table import profile_table, read_table
from baluarte.adapters.event_files import content_digest, opened_text
from baluarte.adapters.json_lines import profile_lines, read_lines
from baluarte.adapters.zeek_table import HEAD, ZeekCells, ZeekTable
from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.ports import Quarantine


class LogSource:
    """Events in files of logs. Keys and columns that the schema doesn't have are left out."""

    name: ClassVar[str] = "log"
    suffixes: ClassVar[tuple[str, ...]] = (".log", ".log.gz")
    schemes: ClassVar[tuple[str, ...]] = ()

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return content_digest(address)

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
        if not _is_zeek(address, reading):
            return profile_lines(address, max_rows=max_rows, reading=reading)
        with opened_text(address, reading) as file:
            table = ZeekTable(file, address)
            plain = ZeekCells(table.head, reading, where=address)
            return profile_table(table, plain.values, max_rows)

    def read(
        self,
        address: str,
        schema: Schema,
        *,
        batch_rows: int,
        reading: Reading = PLAIN,
        quarantine: Quarantine | None = None,
    ) -> Iterator[Events]:
        """Canonical events in batches, in file order; see :class:`baluarte.ports.Source`.

        Raises:
            DataError: all faults of the file by line and field, the first ones in words.
        """
        if not _is_zeek(address, reading):
            yield from read_lines(
                address, schema, batch_rows=batch_rows, reading=reading, quarantine=quarantine
            )
            return
        with opened_text(address, reading) as file:
            table = ZeekTable(file, address, keep=quarantine is not None)
            plain = ZeekCells(table.head, reading, where=address)
            yield from read_table(table, schema, plain, batch_rows, quarantine)


def _is_zeek(address: str, reading: Reading) -> bool:
    with opened_text(address, reading) as file:
        return file.read(len(HEAD)) == HEAD
