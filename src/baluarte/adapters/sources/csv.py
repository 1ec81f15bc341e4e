"""CSV with a header row: comma, semicolon, tab or bar, any stated encoding, plain or gzip.

The separator is the one that the header holds most of, unless it is stated. An empty cell is a
missing value.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, ClassVar

from baluarte.adapters.cells import Cells
from baluarte.adapters.event_files import content_digest, numbered_lines, opened_text
from baluarte.adapters.profile import profile_values, typed_cells
from baluarte.adapters.row_intake import RowIntake
from baluarte.core.event import Events
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import PLAIN, Reading
from baluarte.core.schema import Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine

SEPARATORS = ",;\t|"


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
            table = _Table(file, address, reading)
            intake = RowIntake(table.place, None)
            cells = next(table.batches(max_rows, intake), None)
            intake.end()
        if cells is None:
            raise table.no_rows()
        n = len(next(iter(cells.values())))
        return [
            profile_values(name, typed_cells(plain.guessed(Counter(column))), n=n)
            for name, column in cells.items()
        ]

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
            table = _Table(file, address, reading)
            intake = RowIntake(table.place, quarantine)
            check_columns(schema, table.header, intake.faults, unknown="ignore")
            intake.faults.raise_any()
            for cells in table.batches(batch_rows, intake):
                first = table.first
                events = read_columns(
                    schema,
                    _plain_cells(schema, cells, plain, intake.faults, first),
                    intake.faults,
                    first_row=first,
                    text_cells=True,
                )
                good = intake.settle(
                    events,
                    first_row=first,
                    line=lambda row: table.lines[row],
                    text=lambda row: table.texts[row],
                )
                if good is not None:
                    yield good
            intake.end()
            if intake.n == 0:
                raise table.no_rows()


def _plain_cells(
    schema: Schema,
    cells: Mapping[str, Sequence[str]],
    plain: Cells,
    faults: Faults,
    first_row: int,
) -> dict[str, Sequence[str]]:
    """The columns that the schema reads, their cells as it knows them."""
    return {
        path: plain.rewrite(field, cells[path], faults, first_row)
        for field in schema.fields
        if field.role != "ignored" and (path := ".".join(field.keys)) in cells
    }


class _Lines:
    """The text lines of a file, one at a time, and those that the row at hand took."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self._address = address
        self._lines = numbered_lines(file, address)
        self.row: list[str] = []
        self.number = 0  #: of the last line
        self.over = False  #: nothing can be read beyond

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            self.number, line = next(self._lines)
        except (DataError, StopIteration):
            self.over = True
            raise
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            self.row.append(line.decode(errors="backslashreplace"))
            raise DataError(
                f"expected UTF-8, found byte {line[error.start]:#04x}",
                where=f"{self._address}:{self.number}",
                hint='If it is Latin-1, say so: reading.encoding = "windows-1252" of the detector '
                "in workspace.toml.",
            ) from None
        self.row.append(text)
        return text

    def taken(self) -> str:
        """The text that was read since the last call."""
        text = "".join(self.row)
        self.row.clear()
        return text.rstrip("\r\n")


class _Table:
    """The rows of one open file, and the lines that they begin at."""

    def __init__(self, file: BinaryIO, address: str, reading: Reading) -> None:
        self.address = address
        self.header: list[str] = []
        self.lines: list[int] = []  #: that the rows of the batch at hand begin at
        self.texts: list[str] = []  #: the same rows as they stand there
        self.first = 0  #: number of the batch's first row
        self._lines = _Lines(file, address)
        first = next(self._lines)
        separator = reading.separator or max(SEPARATORS, key=_unquoted(first, reading).count)
        self._reader = csv.reader(
            _Chain(first, self._lines),
            delimiter=separator,
            quotechar=reading.quote or None,
            quoting=csv.QUOTE_MINIMAL if reading.quote else csv.QUOTE_NONE,
            strict=True,
            skipinitialspace=False,
        )
        try:
            self.header = [name.strip() for name in next(self._reader)]
        except (csv.Error, StopIteration) as error:
            raise DataError(
                f"expected a header row: {error or 'found an empty line'}", where=f"{address}:1"
            ) from None
        self._lines.taken()
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
        line = self.lines[row - self.first] if row >= 0 else 1
        return f"{self.address}:{line}: {path}" if path else f"{self.address}:{line}"

    def no_rows(self) -> DataError:
        return DataError(
            "expected events, found a header and no row after it", where=f"{self.address}:1"
        )

    def batches(self, batch_rows: int, intake: RowIntake) -> Iterator[dict[str, tuple[str, ...]]]:
        """Columns of cells by name, at most ``batch_rows`` a time; broken rows are rejected."""
        width = len(self.header)
        rows: list[list[str]] = []
        reader, lines, texts, taken = self._reader, self.lines, self.texts, self._lines.taken
        keep = intake.faults.by_row
        while True:
            begins = self._lines.number + 1
            try:
                row = next(reader, None)
            except (csv.Error, DataError) as error:
                broken = error if isinstance(error, DataError) else self._broken(begins, error)
                if self._lines.over:
                    intake.faults.absorb(self.first + len(rows), broken)
                    break
                intake.reject(self.first + len(rows), begins, broken, taken())
                continue
            if row is None:
                break
            if len(row) != width:
                if row:
                    ragged = self._ragged(len(row), begins)
                    intake.reject(self.first + len(rows), begins, ragged, taken())
                self._lines.row.clear()
                continue
            rows.append(row)
            lines.append(begins)
            if keep:
                texts.append(taken())
            else:
                self._lines.row.clear()
            if len(rows) == batch_rows:
                yield self._columns(rows)
                self.first += len(rows)
                rows.clear()
                lines.clear()
                texts.clear()
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

    def _broken(self, line: int, error: csv.Error) -> DataError:
        unclosed = "unexpected end of data" in str(error)
        return DataError(
            "expected a closing quote, found the end of the file"
            if unclosed
            else f"broken row: {error}",
            where=f"{self.address}:{line}",
            hint='Quote a cell as "…" and double the quotes inside it.',
        )


class _Chain:
    """One line, then the others; unlike a generator it goes on after an error."""

    def __init__(self, first: str, rest: Iterator[str]) -> None:
        self._first: str | None = first
        self._rest = rest

    def __iter__(self) -> _Chain:
        return self

    def __next__(self) -> str:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._rest)


def _unquoted(line: str, reading: Reading) -> str:
    """What of a line stands outside of quotes."""
    return "".join(line.split(reading.quote)[::2]) if reading.quote else line
