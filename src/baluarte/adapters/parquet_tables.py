"""Parquet files as Arrow reads them: nested columns by path, arrays as the column road takes them.

The only module of the sources that imports pyarrow, which comes with the extra ``files``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baluarte.adapters.event_files import opened
from baluarte.adapters.profile import profile_values
from baluarte.core.event_columns import Cells
from baluarte.core.raw_column import RawColumn
from baluarte.core.schema import MAX_PATH_DEPTH, Field
from baluarte.errors import DataError


class ParquetTable:
    """One open file: its columns by path, and their values in batches."""

    def __init__(self, file: Any, address: str) -> None:
        self._file = file
        names = file.schema_arrow.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"expected each column name once, found {', '.join(map(repr, twice))} again",
                where=address,
            )
        self.leaves: dict[str, Any] = {}  #: path to Arrow type
        self._routes: dict[str, tuple[str, ...]] = {}
        for field in file.schema_arrow:
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

    @classmethod
    @contextmanager
    def opened(cls, address: str) -> Iterator[ParquetTable]:
        """The table in a file.

        Raises:
            DataError: it is no Parquet, or damaged.
            OutsideError: the operating system refused.
        """
        with opened(address) as raw:
            if os.fstat(raw.fileno()).st_size == 0:
                raise DataError("expected Parquet, found an empty file", where=address)
            try:
                with pq.ParquetFile(raw) as file:
                    yield cls(file, address)
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise DataError(
                    f"expected Parquet, found damaged or other data: {reason}",
                    where=address,
                    hint="Write or fetch the file again.",
                ) from error

    def batches(self, paths: list[str], batch_rows: int) -> Iterator[dict[str, Any]]:
        """Arrow arrays by path, at most ``batch_rows`` a time."""
        roots = sorted({self._routes[path][0] for path in paths})
        for batch in self._file.iter_batches(batch_size=batch_rows, columns=roots):
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


def to_cells(array: Any, field: Field) -> Cells:
    """An Arrow array as the column road takes it."""
    t, kind = pa.types, array.type
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        array = (array.cast(pa.string()) if t.is_string_view(kind) else array).dictionary_encode()
    if t.is_dictionary(array.type):
        values = array.dictionary.to_pylist()
        table = np.empty(len(values) + 1, dtype=object)
        table[:] = [*values, None]
        codes: Any = array.indices.cast(pa.int64()).fill_null(len(values)).to_numpy()
        texts: Cells = table[codes]
        return texts
    if t.is_decimal(kind):
        return [None if value is None else float(value) for value in array.to_pylist()]
    whole = t.is_integer(kind) or t.is_boolean(kind)
    if array.null_count and whole:
        if t.is_integer(kind) and field.type in ("number", "integer"):
            plain: Cells = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return plain
        listed: Cells = array.to_pylist()
        return listed
    cells: Cells = array.to_numpy(zero_copy_only=False)
    return cells


def profile_array(path: str, array: Any) -> RawColumn:
    """What the values of an Arrow array look like."""
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
    missing = [v for v in counts if v is None or v == "" or (type(v) is float and math.isnan(v))]
    for value in missing:
        del counts[value]
    return profile_values(path, counts, n=n)
