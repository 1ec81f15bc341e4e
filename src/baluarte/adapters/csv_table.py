"""The rows of one open file of delimited text as columns of cells, and the lines they stand on.

Where Arrow is installed, blocks of plain rows are read by it at once; every other row goes through
Python's own reader, whose rules and words are the only ones.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from baluarte.adapters.cells import Cells
from baluarte.adapters.profile import profile_values
from baluarte.adapters.row_intake import FewBad, RowIntake
from baluarte.adapters.text_lines import TextLines, undecoded
from baluarte.core.event import Events
from baluarte.core.event_columns import Cells as TypedCells
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import Reading
from baluarte.core.schema import Field, Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine

if TYPE_CHECKING:
    from baluarte.adapters.csv_blocks import BlockReader

Typed = Callable[[str, Mapping[str, int]], Mapping[Any, int]]

SEPARATORS = ",;\t|"
_FEWEST_ROWS = 64  # of a batch that is worth the way through Arrow


class TextColumn(Protocol):
    """The cells of one column of a batch."""

    def typed(self, field: Field, plain: Cells, faults: Faults, first_row: int) -> TypedCells:
        """As the column road takes them with ``text_cells``; what is refused is a fault."""
        ...

    def counts(self) -> Counter[str]:
        """How often each cell occurs."""
        ...


class CellColumn:
    """Cells as Python has them."""

    def __init__(self, cells: Sequence[str]) -> None:
        self._cells = cells

    def typed(self, field: Field, plain: Cells, faults: Faults, first_row: int) -> TypedCells:
        """The cells as the schema's rules know them."""
        return plain.rewrite(field, self._cells, faults, first_row)

    def counts(self) -> Counter[str]:
        """How often each cell occurs."""
        return Counter(self._cells)


class DelimitedTable:
    """The rows of one open file.

    Args:
        header: the columns' names; those of columns without one are empty.
        lines: of ``texts``, the next one the first row's.
        quote: around cells; empty for none.
        comment: what lines begin with that are no rows; empty for none.
        keep: the texts of rows can be asked for.
        blocks: whether Arrow may read what is plain.
    """

    def __init__(
        self,
        address: str,
        texts: TextLines,
        lines: Iterator[str],
        *,
        header: Sequence[str],
        separator: str,
        quote: str,
        comment: str = "",
        keep: bool = False,
        blocks: bool = True,
    ) -> None:
        self.address, self.header = address, header
        self.lines: list[int] = []  #: that the rows of the batch at hand begin at
        self.ends: list[int] = []  #: and end at, where texts are kept
        self.first = 0  #: number of the batch's first row
        self._texts = texts
        self._separator, self._quote, self._comment = separator, quote, comment
        self._keep, self._may_block = keep, blocks
        self._reader = _reader(lines, separator, quote)

    def place(self, row: int, path: str) -> str:
        """The line that a row begins at; for row -1 the header's."""
        line = self.lines[row - self.first] if row >= 0 else 1
        return f"{self.address}:{line}: {path}" if path else f"{self.address}:{line}"

    def no_rows(self) -> DataError:
        """The error of a table without rows."""
        return DataError(
            "expected events, found a header and no row after it", where=f"{self.address}:1"
        )

    def text(self, row: int) -> str:
        """A row of the batch at hand as it stands in the file."""
        return self._texts.text(self.lines[row], self.ends[row])

    def batches(
        self, names: Sequence[str], batch_rows: int, intake: RowIntake
    ) -> Iterator[dict[str, TextColumn]]:
        """These columns' cells, at most ``batch_rows`` a time; broken rows are rejected."""
        wanted = [self.header.index(name) for name in names]
        blocks = self._block_reader(wanted) if batch_rows >= _FEWEST_ROWS else None
        pieces = _Pieces(wanted, blocks)
        while self._read_on(pieces, batch_rows, intake):
            while pieces.n >= batch_rows:
                yield dict(zip(names, pieces.cut(batch_rows), strict=True))
                self._forget(batch_rows)
        if self._texts.failure is not None:
            intake.faults.absorb(self.first + pieces.n, self._texts.failure)
        if pieces.n:
            yield dict(zip(names, pieces.cut(pieces.n), strict=True))

    def _block_reader(self, wanted: Sequence[int]) -> BlockReader | None:
        """What reads plain blocks, where there can be any and Arrow is installed."""
        if not self._may_block:
            return None
        try:
            from baluarte.adapters import csv_blocks  # noqa: PLC0415 - where Arrow is installed
        except ImportError:
            return None
        return csv_blocks.block_reader(
            width=len(self.header),
            separator=self._separator,
            quote=self._quote,
            comment=self._comment,
            wanted=wanted,
        )

    def _read_on(self, pieces: _Pieces, batch_rows: int, intake: RowIntake) -> bool:
        """Add a block or some rows to the pieces; whether there may be more."""
        blocks, texts = pieces.blocks, self._texts
        if blocks is not None and texts.between:
            block = texts.block()
            found = blocks.read(block) if block else None
            if found is not None:
                n, line = len(found[0]), texts.number + 1
                texts.skip(n)
                self.lines += range(line, line + n)
                if self._keep:
                    self.ends += range(line, line + n)
                pieces.add(found, n)
                return True
        rows, more = self._read_rows(pieces, batch_rows, intake)
        pieces.add(rows, len(rows))
        return more

    def _read_rows(
        self, pieces: _Pieces, batch_rows: int, intake: RowIntake
    ) -> tuple[list[list[str]], bool]:
        """Rows up to a full batch or the next block, by the general reader; whether there is more.

        Rows that are broken are rejected.
        """
        width, room, first = len(self.header), batch_rows - pieces.n, self.first + pieces.n
        reader, texts, lines, ends = self._reader, self._texts, self.lines, self.ends
        comment = self._comment
        rows: list[list[str]] = []
        while len(rows) < room:
            begins = texts.number + 1
            broken: DataError | None = None
            try:
                row = next(reader, None)
            except csv.Error as error:
                broken, row = self._broken(begins, error), []
                if "unexpected end of data" in str(error):  # what came before it is anyone's guess
                    intake.faults.absorb(first + len(rows), broken)
                    return rows, False
            if row is None:
                return rows, False
            if comment and row and row[0].startswith(comment):
                if self.goes_on(row):
                    continue
                intake.faults.absorb(first + len(rows), self._other_columns(begins))
                return rows, False
            if len(row) != width or texts.suspect:
                broken = broken or (self._refused(row, begins) if row else None)
            if broken is not None:
                text = texts.text(begins, texts.number) if self._keep else ""
                intake.reject(first + len(rows), begins, broken, text)
            elif row:
                rows.append(row)
                lines.append(begins)
                if self._keep:
                    ends.append(texts.number)
            if pieces.blocks is not None and texts.between:
                break
        return rows, True

    def goes_on(self, comment: Sequence[str]) -> bool:
        """Whether the rows after a comment are of the same columns."""
        return bool(comment)

    def _other_columns(self, line: int) -> DataError:
        return DataError(
            "expected rows of one set of columns, found the head of another",
            where=f"{self.address}:{line}",
            hint="Give each its own file.",
        )

    def _forget(self, n: int) -> None:
        """The first rows were settled."""
        self.first += n
        self._texts.forget((self.ends if self._keep else self.lines)[n - 1])
        del self.lines[:n], self.ends[:n]

    def _refused(self, row: list[str], line: int) -> DataError | None:
        """Why a row is no row of this table, if it is none."""
        byte = undecoded("".join(row))
        if byte is not None:
            return _not_utf8(byte, f"{self.address}:{line}")
        return self._ragged(len(row), line) if len(row) != len(self.header) else None

    def _ragged(self, n_cells: int, line: int) -> DataError:
        return DataError(
            f"expected {len(self.header)} cells, found {n_cells}",
            where=f"{self.address}:{line}",
            hint="Quote cells that hold the separator.",
        )

    def _broken(self, line: int, error: csv.Error) -> DataError:
        unclosed = "unexpected end of data" in str(error)
        return DataError(
            "expected a closing quote, found the end of the file"
            if unclosed
            else f"broken row: {error}",
            where=f"{self.address}:{line}",
            hint='Quote a cell as "…" and double the quotes inside it.',
        )


def csv_table(
    file: BinaryIO, address: str, reading: Reading, *, keep: bool = False, blocks: bool = True
) -> DelimitedTable:
    """The table in a file of CSV, its header read; the separator is what that holds most of.

    Args:
        file: as UTF-8.

    Raises:
        DataError: there is no header, or none that names each column once.
    """
    texts = TextLines(file, address, keep=keep)
    lines = iter(texts)
    first = next(lines, "")
    if texts.failure is not None:
        raise texts.failure
    separator = reading.separator or max(SEPARATORS, key=_unquoted(first, reading).count)
    reader = _reader(itertools.chain([first], lines), separator, reading.quote)
    return DelimitedTable(
        address,
        texts,
        lines,
        header=_header(reader, address),
        separator=separator,
        quote=reading.quote,
        keep=keep,
        blocks=blocks,
    )


def _reader(lines: Iterator[str], separator: str, quote: str) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=separator,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        strict=True,
        skipinitialspace=False,
    )


def _header(reader: Iterator[list[str]], address: str) -> list[str]:
    where = f"{address}:1"
    try:
        header = [name.strip() for name in next(reader)]
    except (csv.Error, StopIteration) as error:
        raise DataError(
            f"expected a header row: {error or 'found an empty line'}", where=where
        ) from None
    byte = undecoded("".join(header))
    if byte is not None:
        raise _not_utf8(byte, where)
    check_names(header, where)
    return header


def check_names(header: Sequence[str], where: str) -> None:
    """Whether columns are named, each once.

    Raises:
        DataError: they are not.
    """
    names = Counter(name for name in header if name)
    twice = [name for name, count in names.items() if count > 1]
    if not names:
        raise DataError("expected a header row, found no names", where=where)
    if twice:
        raise DataError(
            f"expected each column name once, found {', '.join(map(repr, twice))} again",
            where=where,
            hint="Name each column differently.",
        )


def _not_utf8(byte: int, where: str) -> DataError:
    return DataError(
        f"expected UTF-8, found byte {byte:#04x}",
        where=where,
        hint='If it is Latin-1, say so: reading.encoding = "windows-1252" of the detector in '
        "workspace.toml.",
    )


def profile_table(table: DelimitedTable, typed: Typed, max_rows: int) -> list[RawColumn]:
    """The columns as they stand, over the first ``max_rows`` rows.

    Args:
        typed: a column's cells, counted, as the values that they seem to be.

    Raises:
        DataError: there is no row, or more than a few are broken.
    """
    few = FewBad()
    intake = RowIntake(table.place, few)
    names = [name for name in table.header if name]
    columns = next(table.batches(names, max_rows, intake), None)
    intake.end()
    few.settle(intake.n + min(len(table.lines), max_rows))
    if columns is None:
        raise table.no_rows()
    n = min(len(table.lines), max_rows)
    return [
        profile_values(name, typed(name, column.counts()), n=n) for name, column in columns.items()
    ]


def read_table(
    table: DelimitedTable,
    schema: Schema,
    plain: Cells,
    batch_rows: int,
    quarantine: Quarantine | None,
) -> Iterator[Events]:
    """Canonical events in batches, in file order.

    Raises:
        DataError: all faults of the file by line and field, the first ones in words.
    """
    intake = RowIntake(table.place, quarantine)
    check_columns(schema, table.header, intake.faults, unknown="ignore")
    intake.faults.raise_any()
    fields = {
        path: field
        for field in schema.fields
        if field.role != "ignored" and (path := ".".join(field.keys)) in table.header
    }
    for columns in table.batches(list(fields), batch_rows, intake):
        first = table.first
        cells = {
            path: column.typed(fields[path], plain, intake.faults, first)
            for path, column in columns.items()
        }
        events = read_columns(schema, cells, intake.faults, first_row=first, text_cells=True)
        good = intake.settle(
            events, first_row=first, line=lambda row: table.lines[row], text=table.text
        )
        if good is not None:
            yield good
    intake.end()
    if intake.n == 0:
        raise table.no_rows()


class _Pieces:
    """Rows that wait to be a batch, in the forms that they were read in.

    Args:
        wanted: numbers of the columns that are kept.
        blocks: reads some of them as Arrow's arrays; None where none does.
    """

    def __init__(self, wanted: Sequence[int], blocks: BlockReader | None) -> None:
        self.n = 0
        self.blocks = blocks
        self._wanted = wanted
        self._waiting: deque[tuple[Any, int]] = deque()  # arrays or rows, and how many rows

    def add(self, piece: Any, n: int) -> None:
        """More rows, as one array a wanted column or as lists of all cells."""
        if n:
            self._waiting.append((piece, n))
            self.n += n

    def cut(self, n: int) -> list[TextColumn]:
        """The first ``n`` rows' columns; they wait no more."""
        taken, left = [], n
        self.n -= n
        while left:
            piece, length = self._waiting.popleft()
            if length > left:
                self._waiting.appendleft((_sliced(piece, left, length), length - left))
                piece, length = _sliced(piece, 0, left), left
            taken.append(piece)
            left -= length
        if self.blocks is not None:
            return [self.blocks.column(taken, i, at) for i, at in enumerate(self._wanted)]
        columns = list(zip(*itertools.chain.from_iterable(taken), strict=True))
        return [CellColumn(columns[at]) for at in self._wanted]


def _sliced(piece: Any, start: int, stop: int) -> Any:
    """Some rows of a piece: of a tuple each array's, of a list its own."""
    if isinstance(piece, tuple):
        return tuple(array.slice(start, stop - start) for array in piece)
    return piece[start:stop]


def _unquoted(line: str, reading: Reading) -> str:
    """What of a line stands outside of quotes."""
    return "".join(line.split(reading.quote)[::2]) if reading.quote else line
