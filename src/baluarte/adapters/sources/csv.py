"""CSV with a header row: comma, semicolon, tab or bar, any stated encoding, plain or gzip.

The separator is the one that the header holds most of, unless it is stated. An empty cell is a
missing value.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, ClassVar

from baluarte.adapters.cells import Cells
from baluarte.adapters.event_files import content_digest, opened_text
from baluarte.adapters.profile import profile_values, typed_cells
from baluarte.adapters.row_intake import RowIntake
from baluarte.adapters.text_lines import TextLines, undecoded
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
            table = _Table(file, address, reading, keep=quarantine is not None)
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
                    text=table.text,
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


class _Table:
    """The rows of one open file, and the lines that they begin at."""

    def __init__(
        self, file: BinaryIO, address: str, reading: Reading, *, keep: bool = False
    ) -> None:
        self.address = address
        self.header: list[str] = []
        self.lines: list[int] = []  #: that the rows of the batch at hand begin at
        self.ends: list[int] = []  #: and end at, where texts are kept
        self.first = 0  #: number of the batch's first row
        self._keep = keep
        self._texts = TextLines(file, address, keep=keep)
        lines = iter(self._texts)
        first = next(lines, "")
        if self._texts.failure is not None:
            raise self._texts.failure
        separator = reading.separator or max(SEPARATORS, key=_unquoted(first, reading).count)
        self._reader = csv.reader(
            itertools.chain([first], lines),
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
        byte = undecoded("".join(self.header))
        if byte is not None:
            raise self._not_utf8(byte, 1)
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

    def text(self, row: int) -> str:
        """A row of the batch at hand as it stands in the file."""
        return self._texts.text(self.lines[row], self.ends[row])

    def batches(self, batch_rows: int, intake: RowIntake) -> Iterator[dict[str, tuple[str, ...]]]:
        """Columns of cells by name, at most ``batch_rows`` a time; broken rows are rejected."""
        width = len(self.header)
        rows: list[list[str]] = []
        reader, lines, ends, texts = self._reader, self.lines, self.ends, self._texts
        while True:
            begins = reader.line_num + 1
            broken: DataError | None = None
            try:
                row = next(reader, None)
            except csv.Error as error:
                broken, row = self._broken(begins, error), []
                if "unexpected end of data" in str(error):  # what came before it is anyone's guess
                    intake.faults.absorb(self.first + len(rows), broken)
                    break
            if row is None:
                break
            if broken is None and not row:
                continue
            if len(row) != width or texts.suspect:
                broken = broken or self._refused(row, begins)
            if broken is not None:
                text = texts.text(begins, reader.line_num) if self._keep else ""
                intake.reject(self.first + len(rows), begins, broken, text)
                continue
            rows.append(row)
            lines.append(begins)
            if self._keep:
                ends.append(reader.line_num)
            if len(rows) == batch_rows:
                yield self._columns(rows)
                self.first += len(rows)
                rows.clear()
                lines.clear()
                ends.clear()
                texts.forget(reader.line_num)
        if texts.failure is not None:
            intake.faults.absorb(self.first + len(rows), texts.failure)
        if rows:
            yield self._columns(rows)

    def _refused(self, row: list[str], line: int) -> DataError | None:
        """Why a row is no row of this table, if it is none."""
        byte = undecoded("".join(row))
        if byte is not None:
            return self._not_utf8(byte, line)
        return self._ragged(len(row), line) if len(row) != len(self.header) else None

    def _not_utf8(self, byte: int, line: int) -> DataError:
        return DataError(
            f"expected UTF-8, found byte {byte:#04x}",
            where=f"{self.address}:{line}",
            hint='If it is Latin-1, say so: reading.encoding = "windows-1252" of the detector '
            "in workspace.toml.",
        )

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


def _unquoted(line: str, reading: Reading) -> str:
    """What of a line stands outside of quotes."""
    return "".join(line.split(reading.quote)[::2]) if reading.quote else line
