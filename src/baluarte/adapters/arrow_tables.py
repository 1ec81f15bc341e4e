"""Tables as Arrow reads them: nested columns by path, arrays as the column road takes them.

The only module of the sources that imports pyarrow, which comes with the extra ``files``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from baluarte.adapters.cells import Cells
from baluarte.adapters.event_files import opened
from baluarte.adapters.profile import profile_values
from baluarte.adapters.row_intake import RowIntake
from baluarte.core.event import Events
from baluarte.core.event_columns import Cells as Cells_
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.raw_column import RawColumn
from baluarte.core.reading import Reading
from baluarte.core.schema import MAX_PATH_DEPTH, Field, Schema
from baluarte.errors import DataError
from baluarte.ports import Quarantine

_IPC_MAGIC = b"ARROW1"  #: of the file form; the stream form has none


class ArrowTable:
    """One open file: its columns by path, and their values in batches.

    Args:
        schema: Arrow's, of the file.
        batches_of: record batches of these root columns, of at most so many rows.
    """

    def __init__(
        self, schema: Any, batches_of: Callable[[list[str], int], Iterator[Any]], address: str
    ) -> None:
        self.address = address
        self._batches_of = batches_of
        names = schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"expected each column name once, found {', '.join(map(repr, twice))} again",
                where=address,
            )
        self.leaves: dict[str, Any] = {}  #: path to Arrow type
        self._routes: dict[str, tuple[str, ...]] = {}
        for field in schema:
            self._add(field, ())

    def _add(self, field: Any, above: tuple[str, ...]) -> None:
        route = (*above, field.name)
        if pa.types.is_struct(field.type) and len(route) < MAX_PATH_DEPTH:
            for below in field.type:
                self._add(below, route)
        else:
            # A column of the whole path's name wins over one inside a struct.
            path = ".".join(route)
            if path not in self.leaves or not above:
                self.leaves[path] = field.type
                self._routes[path] = route

    def batches(self, paths: list[str], batch_rows: int) -> Iterator[dict[str, Any]]:
        """Arrow arrays by path, at most ``batch_rows`` a time."""
        roots = sorted({self._routes[path][0] for path in paths})
        for batch in self._batches_of(roots, batch_rows):
            if not batch.num_rows:
                continue
            arrays = {}
            for path in paths:
                root, *below = self._routes[path]
                array = batch.column(root)
                for name in below:
                    array = pc.struct_field(array, name)
                arrays[path] = array
            yield arrays


@contextmanager
def opened_parquet(address: str) -> Iterator[ArrowTable]:
    """The table in a Parquet file.

    Raises:
        DataError: it is no Parquet, or damaged.
        OutsideError: the operating system or the object store refused.
    """
    # What is read ahead is kept until the last batch: the whole file, in the end.
    with _opened(address, "Parquet") as raw, pq.ParquetFile(raw, pre_buffer=False) as file:

        def batches(roots: list[str], batch_rows: int) -> Iterator[Any]:
            return file.iter_batches(batch_size=batch_rows, columns=roots)  # type: ignore[no-any-return]

        yield ArrowTable(file.schema_arrow, batches, address)


@contextmanager
def opened_ipc(address: str) -> Iterator[ArrowTable]:
    """The table in an Arrow IPC file or stream: which of the two its first bytes say.

    Raises:
        DataError: it is no Arrow IPC, or damaged.
        OutsideError: the operating system or the object store refused.
    """
    with _opened(address, "Arrow") as raw:
        is_file = raw.read(len(_IPC_MAGIC)) == _IPC_MAGIC
        raw.seek(0)
        reader = pa.ipc.open_file(raw) if is_file else pa.ipc.open_stream(raw)

        def batches(roots: list[str], batch_rows: int) -> Iterator[Any]:
            n = reader.num_record_batches if is_file else None
            found = reader if n is None else (reader.get_batch(i) for i in range(n))
            for batch in found:
                batch.validate(full=True)  # unlike Parquet's, IPC's bytes are taken as they are
                for start in range(0, batch.num_rows, batch_rows):
                    yield batch.slice(start, batch_rows).select(roots)

        yield ArrowTable(reader.schema, batches, address)


@contextmanager
def _opened(address: str, form: str) -> Iterator[Any]:
    """A file's bytes; what Arrow says of them becomes an error with the file's name."""
    with opened(address) as raw:
        if raw.seek(0, os.SEEK_END) == 0:
            raise DataError(f"expected {form}, found an empty file", where=address)
        raw.seek(0)
        try:
            yield raw
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(
                f"expected {form}, found damaged or other data: {reason}",
                where=address,
                hint="Write or fetch the file again.",
            ) from error


def profile_table(table: ArrowTable, max_rows: int, reading: Reading) -> list[RawColumn]:
    """The columns as they stand, over the first ``max_rows`` rows; lists are left out.

    Raises:
        DataError: there is no row.
    """
    paths = [path for path, kind in table.leaves.items() if is_plain(kind)]
    parts: list[dict[str, Any]] = []
    left = max_rows
    for batch in table.batches(paths, max_rows):
        parts.append({path: array.slice(0, left) for path, array in batch.items()})
        left -= len(next(iter(batch.values())))
        if left <= 0:
            break
    if not parts:
        raise DataError("expected events, found no row", where=table.address)
    return [
        profile_array(
            path, pa.concat_arrays([_undictionaried(part[path]) for part in parts]), reading.missing
        )
        for path in paths
    ]


def read_table(
    table: ArrowTable,
    schema: Schema,
    *,
    batch_rows: int,
    reading: Reading,
    quarantine: Quarantine | None,
) -> Iterator[Events]:
    """Canonical events in batches, in file order.

    Raises:
        DataError: all faults of the file by row and field, the first ones in words.
    """
    address = table.address

    def place(row: int, path: str) -> str:
        where = f"{address}: row {row + 1}" if row >= 0 else address
        return f"{where}: {path}" if path else where

    plain = Cells(reading, where=address)
    intake = RowIntake(place, quarantine)
    check_columns(schema, table.leaves, intake.faults, unknown="ignore")
    fields = {
        path: field
        for field in schema.fields
        if field.role != "ignored" and (path := ".".join(field.keys)) in table.leaves
    }
    for path in fields:
        if not is_plain(table.leaves[path]):
            intake.faults.add(-1, path, f"expected plain values, found {table.leaves[path]}")
    intake.faults.raise_any()
    for arrays in table.batches(list(fields), batch_rows):
        first = intake.n
        cells = {
            path: _plain_cells(arrays[path], field, plain, intake.faults, first)
            for path, field in fields.items()
        }
        events = read_columns(schema, cells, intake.faults, first_row=first)
        good = intake.settle(
            events,
            first_row=first,
            line=lambda row, first=first: first + row + 1,  # type: ignore[misc]
            text=lambda row, arrays=arrays: _row_text(arrays, row),  # type: ignore[misc]
        )
        if good is not None:
            yield good
    intake.end()
    if intake.n == 0:
        raise DataError("expected events, found no row", where=address)


def _plain_cells(array: Any, field: Field, plain: Cells, faults: Faults, first_row: int) -> Cells_:
    if not plain.touches(field):
        return to_cells(array, field)
    kind = array.type
    naive = pa.types.is_timestamp(kind) and kind.tz is None
    if naive and field.type == "time" and plain.zone is not None:
        try:
            return to_cells(pc.assume_timezone(array, plain.zone.name), field)
        except pa.ArrowInvalid:  # some moments are doubtful: which ones, Python tells
            return plain.typed(field, array.to_pylist(), faults, first_row)
    if pa.types.is_timestamp(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return to_cells(array, field)
    return plain.typed(field, array.to_pylist(), faults, first_row)


def _row_text(arrays: Mapping[str, Any], row: int) -> str:
    """One row as JSON, for the quarantine."""
    return json.dumps(
        {path: array[row].as_py() for path, array in arrays.items()},
        default=str,
        ensure_ascii=False,
    )


def _undictionaried(array: Any) -> Any:
    """The values themselves: dictionaries of several batches can't be put together."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def is_plain(kind: Any) -> bool:
    """Whether an Arrow type holds one plain value a row."""
    t = pa.types
    if t.is_dictionary(kind):
        return is_plain(kind.value_type)
    tests = (
        t.is_integer, t.is_floating, t.is_decimal, t.is_boolean, t.is_string, t.is_large_string,
        t.is_string_view, t.is_timestamp, t.is_date, t.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def to_cells(array: Any, field: Field) -> Cells_:
    """An Arrow array as the column road takes it."""
    t, kind = pa.types, array.type
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        array = (array.cast(pa.string()) if t.is_string_view(kind) else array).dictionary_encode()
    if t.is_dictionary(array.type):
        values = array.dictionary.to_pylist()
        table = np.empty(len(values) + 1, dtype=object)
        table[:] = [*values, None]
        codes: Any = array.indices.cast(pa.int64()).fill_null(len(values)).to_numpy()
        texts: Cells_ = table[codes]
        return texts
    if t.is_decimal(kind):
        return [None if value is None else float(value) for value in array.to_pylist()]
    whole = t.is_integer(kind) or t.is_boolean(kind)
    if array.null_count and whole:
        if t.is_integer(kind) and field.type in ("number", "integer"):
            plain: Cells_ = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return plain
        listed: Cells_ = array.to_pylist()
        return listed
    cells: Cells_ = array.to_numpy(zero_copy_only=False)
    return cells


def profile_array(path: str, array: Any, words: Sequence[str] = ()) -> RawColumn:
    """What the values of an Arrow array look like; ``words`` are further texts for "missing"."""
    n, kind = len(array), array.type
    if pa.types.is_decimal(kind):
        array = pa.array([None if v is None else float(v) for v in array.to_pylist()])
    elif pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    elif pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
    if pa.types.is_null(kind):
        return profile_values(path, {}, n=n)
    counted = pc.value_counts(array)
    counts = dict(
        zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    )
    texts = {"", *words}
    missing = [v for v in counts if v is None or v in texts or (type(v) is float and math.isnan(v))]
    for value in missing:
        del counts[value]
    return profile_values(path, counts, n=n)
