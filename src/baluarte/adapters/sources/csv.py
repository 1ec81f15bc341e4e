"""CSV with a header row: comma, semicolon, tab or bar, UTF-8, plain or gzip.

The separator is the one that the header holds most of. An empty cell is a missing value.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

from baluarte.adapters.event_files import file_digest, numbered_lines, opened
from baluarte.adapters.profile import profile_values, typed_cells
from baluarte.core.event import Events
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.raw_column import RawColumn
from baluarte.core.schema import Schema
from baluarte.errors import DataError

SEPARATORS = ",;\t|"


class CsvSource:
    """Events in CSV, RFC 4180."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return file_digest(address)

    def profile(self, address: str, *, max_rows: int) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows."""
        with opened(address) as file:
            table = _Table(file, address)
            faults = Faults(table.place)
            cells = next(table.batches(max_rows, faults), None)
            faults.raise_any()
        if cells is None:
            raise table.no_rows()
        n = len(next(iter(cells.values())))
        return [
            profile_values(name, typed_cells(Counter(column)), n=n)
            for name, column in cells.items()
        ]

    def read(self, address: str, schema: Schema, *, batch_rows: int) -> Iterator[Events]:
        """Canonical events in batches, in file order.

        Raises:
            DataError: all faults of the file by line and field, the first ones in words; nothing
                is yielded from the first fault on.
        """
        with opened(address) as file:
            table = _Table(file, address)
            faults = Faults(table.place)
            check_columns(schema, table.header, faults, unknown="ignore")
            faults.raise_any()
            n = 0
            for cells in table.batches(batch_rows, faults):
                events = read_columns(schema, cells, faults, first_row=n, text_cells=True)
                n += len(table.lines)
                if not faults.total:
                    yield events
            faults.raise_any()
            if n == 0:
                raise table.no_rows()


class _Table:
    """The rows of one open file, and the lines that they begin at."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self.address = address
        self.header: list[str] = []
        self.lines: list[int] = []  #: of the batch at hand
        self._first = 0  #: number of the batch's first row
        self._texts = self._decoded(file)
        first = next(self._texts)
        separator = max(SEPARATORS, key=_unquoted(first).count)
        self._reader = csv.reader(
            self._with(first), delimiter=separator, strict=True, skipinitialspace=False
        )
        try:
            self.header = [name.strip() for name in next(self._reader)]
        except (csv.Error, StopIteration) as error:
            raise DataError(
                f"expected a header row: {error or 'found an empty line'}", where=f"{address}:1"
            ) from None
        names = Counter(name for name in self.header if name)
        twice = [name for name, count in names.items() if count > 1]
        if not names:
            raise DataError("expected a header row, found no names", where=f"{address}:1")
        if twice:
            raise DataError(
                f"expected each column name once, found {', '.join(map(repr, twice))} again",
                where=f"{address}:1",
                hint="Name each column differently.",
            )

    def place(self, row: int, path: str) -> str:
        """The line that a row begins at; for row -1 the header's."""
        line = self.lines[row - self._first] if row >= 0 else 1
        return f"{self.address}:{line}: {path}" if path else f"{self.address}:{line}"

    def no_rows(self) -> DataError:
        return DataError(
            "expected events, found a header and no row after it", where=f"{self.address}:1"
        )

    def batches(self, batch_rows: int, faults: Faults) -> Iterator[dict[str, tuple[str, ...]]]:
        """Columns of cells by name, at most ``batch_rows`` a time; broken rows are faults."""
        width = len(self.header)
        rows: list[list[str]] = []
        reader, lines = self._reader, self.lines
        while True:
            begins = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                faults.absorb(self._first + len(rows), _broken(self.address, begins, error))
                row = None
            except DataError as error:
                faults.absorb(self._first + len(rows), error)
                row = None
            if row is None:
                break
            if len(row) != width:
                if row:
                    faults.absorb(self._first + len(rows), self._ragged(len(row), begins))
                continue
            rows.append(row)
            lines.append(begins)
            if len(rows) == batch_rows:
                yield self._columns(rows)
                self._first += len(rows)
                rows.clear()
                lines.clear()
        if rows:
            yield self._columns(rows)

    def _ragged(self, n_cells: int, line: int) -> DataError:
        return DataError(
            f"expected {len(self.header)} cells, found {n_cells}",
            where=f"{self.address}:{line}",
            hint="Quote cells that hold the separator.",
        )

    def _columns(self, rows: list[list[str]]) -> dict[str, tuple[str, ...]]:
        columns = dict(zip(self.header, zip(*rows, strict=True), strict=True))
        columns.pop("", None)
        return columns

    def _decoded(self, file: BinaryIO) -> Iterator[str]:
        for number, line in numbered_lines(file, self.address):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"expected UTF-8, found byte {line[error.start]:#04x}",
                    where=f"{self.address}:{number}",
                    hint="Save the file as UTF-8; if it is Latin-1: iconv -f latin1 -t utf-8.",
                ) from None

    def _with(self, first: str) -> Iterator[str]:
        yield first
        yield from self._texts


def _unquoted(line: str) -> str:
    """What of a line stands outside of quotes."""
    return "".join(line.split('"')[::2])


def _broken(address: str, line: int, error: csv.Error) -> DataError:
    unclosed = "unexpected end of data" in str(error)
    return DataError(
        "expected a closing quote, found the end of the file"
        if unclosed
        else f"broken row: {error}",
        where=f"{address}:{line}",
        hint='Quote a cell as "…" and double the quotes inside it.',
    )
