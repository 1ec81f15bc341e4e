"""The column road: arrays, lists and text cells to canonical events, vectorised.

Whatever has no quick way goes value by value through the row road's own rules, so both roads give
the same canonical values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from baluarte.core.event import MAX_EXACT_INTEGER, Column, Events, Value
from baluarte.core.event_faults import Faults
from baluarte.core.event_rows import TEXTUAL, Unknown, place_of
from baluarte.core.event_value import (
    MAX_CATEGORY_CHARS,
    MAX_TEXT_CHARS,
    MAX_YEAR,
    MIN_YEAR,
    Convert,
    ValueRefusedError,
    cell_converter,
    converter,
)
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import FLOAT32_MAX, Field, Schema
from baluarte.core.text_columns import CodedTexts, parsed_times, plain_texts

Plain = Sequence[Any] | NDArray[Any]
Cells = Plain | CodedTexts  #: (n,) values of one column

_PLAIN_CHARACTERS = str.maketrans("", "", "0123456789+-.eE")


def from_columns(
    schema: Schema,
    columns: Mapping[str, Cells],
    *,
    unknown: Unknown = "ignore",
    first_row: int = 0,
    where: str | Callable[[int], str] = "rows",
) -> Events:
    """Columns of one table as canonical events.

    Args:
        columns: by path (``flow.bytes``), all of one length: arrays of numbers, booleans,
            ``datetime64``, or lists and object arrays of Python values. NaN, NaT and None are
            missing.
        unknown: what happens to columns that the schema doesn't have.
        first_row: number of the first row, for the report.
        where: what the report calls the rows.

    Raises:
        DataError: every fault, up to a stated number in words. A feature without a column is one;
            other fields without one are missing, unless they are required.
    """
    faults = Faults(place_of(where))
    check_columns(schema, columns, faults, unknown=unknown)
    faults.raise_any()
    events = read_columns(schema, columns, faults, first_row=first_row)
    faults.raise_any()
    return events


def check_columns(
    schema: Schema, names: Mapping[str, Any] | Sequence[str], faults: Faults, *, unknown: Unknown
) -> None:
    """Collect a fault for each column that is needed and absent, or unknown and refused."""
    known = {".".join(field.keys): field for field in schema.fields if field.role != "derived"}
    for path, field in known.items():
        if path not in names and (field.is_feature or field.required):
            spare = [name for name in names if name not in known]
            faults.add(-1, path, "expected a column, found none", did_you_mean(path, spare))
    if unknown == "refuse":
        for name in names:
            if name not in known:
                faults.add(-1, name, "unknown column", did_you_mean(name, known))


def read_columns(
    schema: Schema,
    columns: Mapping[str, Cells],
    faults: Faults,
    *,
    first_row: int = 0,
    text_cells: bool = False,
) -> Events:
    """As :func:`from_columns`, with the faults collected; a refused value is missing.

    Args:
        text_cells: the columns are lists of a text file's cells: empty is missing, numbers and
            booleans are written out.
    """
    n = len(next(iter(columns.values()), ()))
    out: dict[str, Column] = {}
    for field in schema.fields:
        path = ".".join(field.keys)
        if not field.is_given or path not in columns:
            continue
        if len(columns[path]) != n:
            faults.add(-1, path, f"expected {n} values, found {len(columns[path])}")
            continue
        reader = _ColumnReader(field, faults, first_row, text_cells=text_cells)
        column = reader.read(columns[path])
        if field.required:
            reader.refuse_missing(column)
        out[field.name] = column
    return Events(n=n, columns=out)


class _ColumnReader:
    """Brings one column to its canonical form."""

    def __init__(self, field: Field, faults: Faults, first_row: int, *, text_cells: bool) -> None:
        self.field = field
        self.path = ".".join(field.keys)
        self.faults = faults
        self.first_row = first_row
        self.text_cells = text_cells
        self.refused: set[int] = set()
        self.convert: Convert = cell_converter(field) if text_cells else converter(field, nan=True)

    def read(self, cells: Cells) -> Column:
        return self._coded(cells) if isinstance(cells, CodedTexts) else self._read(cells)

    def _read(self, cells: Plain) -> Column:
        if isinstance(cells, np.ndarray):
            quick = self._array(cells)
            if quick is not None:
                return quick
        elif self.text_cells and self.field.type in ("number", "integer"):
            parsed = _parsed(cells)
            if parsed is not None:
                return self._numbers(_floats(parsed), cells)
        return self._values(cells.tolist() if _plain(cells) else list(cells))

    def _values(self, values: list[Any]) -> Column:
        types = set(map(type, values))
        if types <= {str, type(None)}:
            quick = self._texts(values)
            return self._distinct(values) if quick is None else quick
        if self.field.type == "boolean" and types <= {bool, int, type(None)}:
            truths = _as_doubles(values)
            if truths is not None:
                return self._again(values, truths, ~_is_truth(truths))
        if self.field.type in ("number", "integer") and types <= {int, float, type(None)}:
            parsed = _as_doubles(values)
            if parsed is not None:
                return self._numbers(_floats(parsed), values)
        return self._each(values)

    def _coded(self, cells: CodedTexts) -> Column:
        """Texts by their distinct ones; row by row where one is refused."""
        table = self._texts(cells.texts)
        if table is None:
            try:
                known = [None if text is None else self.convert(text) for text in cells.texts]
            except ValueRefusedError:
                absent = "" if self.text_cells else None
                return self._each([absent if text is None else text for text in cells.listed()])
            table = self._canonical(known)
        column: Column = table[cells.codes]
        return column

    def _texts(self, values: Sequence[str | None]) -> Column | None:
        """The quick way of texts that have one."""
        if self.field.type == "time":
            return parsed_times(values)
        limit = {"category": MAX_CATEGORY_CHARS, "text": MAX_TEXT_CHARS}.get(self.field.type)
        found = None if limit is None else plain_texts(values, max_chars=limit)
        return None if found is None else self._canonical(found)

    def _array(self, cells: NDArray[Any]) -> Column | None:
        """The quick way of an array that has one."""
        kind, wanted = cells.dtype.kind, self.field.type
        if wanted in ("number", "integer") and kind in "fiu":
            return self._numbers(_floats(cells), cells)
        if wanted == "boolean" and kind in "bfiu":
            return self._truths(cells)
        if wanted == "category" and kind in "bfiu":
            return self._categories(cells)
        if wanted == "time" and kind == "M":
            return self._times(cells)
        return None

    def refuse_missing(self, column: Column) -> None:
        absent = column == None if column.dtype == object else np.isnan(column)  # noqa: E711 - elementwise
        for i in np.flatnonzero(absent).tolist():
            if i not in self.refused:
                self._fault(i, "expected a value, found none: the field is required")

    def _fault(self, i: int, message: str, hint: str | None = None) -> None:
        self.refused.add(i)
        self.faults.add(self.first_row + i, self.path, message, hint)

    def _canonical(self, values: Sequence[Value | None]) -> Column:
        if self.field.type in TEXTUAL:
            column = np.empty(len(values), dtype=object)
            column[:] = values
            return column
        return np.array([math.nan if v is None else float(v) for v in values], dtype=np.float64)

    def _each(self, values: Sequence[Any]) -> Column:
        """Value by value: the row road's own rules."""
        out: list[Value | None] = []
        for i, value in enumerate(values):
            try:
                out.append(self.convert(value))
            except ValueRefusedError as refused:
                out.append(None)
                self._fault(i, str(refused), refused.hint)
        return self._canonical(out)

    def _distinct(self, values: Sequence[str | None]) -> Column:
        """Texts: each distinct one is looked at once."""
        table: dict[str | None, Value | None] = {}
        for text in set(values):
            try:
                table[text] = self.convert(text)
            except ValueRefusedError:
                return self._each(values)
        return self._canonical([table[text] for text in values])

    def _numbers(self, column: NDArray[np.float64], cells: Plain) -> Column:
        bad = np.abs(column) > FLOAT32_MAX
        if self.field.type == "integer":
            bad |= (column != np.trunc(column)) & ~np.isnan(column)
        return self._again(cells, column, bad) if bad.any() else column

    def _truths(self, cells: NDArray[Any]) -> Column:
        column = _floats(cells)
        return self._again(cells, column, ~_is_truth(column))

    def _times(self, cells: NDArray[Any]) -> Column:
        absent = np.isnat(cells)
        year = cells.astype("datetime64[Y]").astype(np.int64) + 1970
        bad = ((year < MIN_YEAR) | (year > MAX_YEAR)) & ~absent
        near = np.where(bad | absent, np.datetime64(0, "us"), cells)
        whole = near.astype("datetime64[us]").astype(np.int64).astype(np.float64)
        column = np.where(absent, math.nan, whole)
        bad |= np.abs(whole) > MAX_EXACT_INTEGER
        return self._again(cells, column, bad) if bad.any() else column

    def _categories(self, cells: NDArray[Any]) -> Column:
        distinct, inverse = np.unique(cells, return_inverse=True)
        table = np.empty(len(distinct), dtype=object)
        # Whole numbers are their digits; there may be millions of them.
        convert = str if cells.dtype.kind in "iu" else self.convert
        try:
            table[:] = [convert(value) for value in distinct.tolist()]
        except ValueRefusedError:
            return self._each(cells.tolist())
        column: Column = table[inverse]
        return column

    def _again(self, cells: Plain, column: Column, bad: NDArray[np.bool_]) -> Column:
        """The doubtful values once more, by the row road's rules."""
        for i in np.flatnonzero(bad).tolist():
            try:
                value = self.convert(cells[i])
                column[i] = math.nan if value is None else float(value)
            except ValueRefusedError as refused:
                column[i] = math.nan
                self._fault(i, str(refused), refused.hint)
        return column


def _is_truth(column: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) true, false or missing."""
    truth: NDArray[np.bool_] = np.isnan(column) | (column == 0.0) | (column == 1.0)
    return truth


def _as_doubles(values: Sequence[float | None]) -> NDArray[np.float64] | None:
    """(n,) NaN where missing; None where one is larger than any double."""
    try:
        return np.array(values, dtype=np.float64)  # None is NaN
    except OverflowError:
        return None


def _plain(cells: Plain) -> TypeGuard[NDArray[Any]]:
    """Whether ``tolist`` keeps what the values are; of times it makes bare integers."""
    return isinstance(cells, np.ndarray) and cells.dtype.kind != "M"


def _floats(cells: NDArray[Any]) -> NDArray[np.float64]:
    """The same numbers as float64, negative zero as zero."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is missing, like any other
        floats: NDArray[np.float64] = cells.astype(np.float64) + 0.0
    return floats


def _parsed(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells that are all plain decimals or empty, parsed; None where any is not."""
    if "".join(cells).translate(_PLAIN_CHARACTERS):
        return None
    try:
        if "" not in cells:
            return np.array(list(map(float, cells)), dtype=np.float64)
        return np.array([float(cell) if cell else math.nan for cell in cells], dtype=np.float64)
    except ValueError:
        return None
