"""CSV with a header row: comma, semicolon, tab or bar, any stated encoding, plain or gzip.

The separator is the one that the header holds most of, unless it is stated. An empty cell is a
missing value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from baluarte.adapters.cells import Cells
from baluarte.adapters.csv_table import csv_table, profile_table, read_table
from baluarte.adapters.event_files import content_digest, opened_text
from baluarte.adapters.profile import typed_cells
from baluarte.core.event import Events
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.ports import Quarantine


class CsvSource:
    """Events in CSV, RFC 4180 and its usual dialects."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
    schemes: ClassVar[tuple[str, ...]] = ()

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return content_digest(address)

    def profile(self, address: str, *, max_rows: int, reading: Reading = PLAIN) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows."""
        plain = Cells(reading, where=address)
        with opened_text(address, reading) as file:
            table = csv_table(file, address, reading)
            return profile_table(
                table, lambda _, counts: typed_cells(plain.guessed(counts)), max_rows
            )

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
        plain = Cells(reading, where=address)
        with opened_text(address, reading) as file:
            table = csv_table(file, address, reading, keep=quarantine is not None)
            yield from read_table(table, schema, plain, batch_rows, quarantine)
