"""Parquet, read by Arrow in batches; nested structs by path. Needs the extra ``files``."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import ClassVar

from baluarte.adapters.event_files import file_digest
from baluarte.core.event import Events
from baluarte.core.event_columns import check_columns, read_columns
from baluarte.core.event_faults import Faults
from baluarte.core.raw_column import RawColumn
from baluarte.core.schema import Schema
from baluarte.errors import DataError, OutsideError


class ParquetSource:
    """Events in Parquet. Columns that the schema doesn't have are not read."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def digest(self, address: str) -> str:
        """``sha256:…`` of the file."""
        return file_digest(address)

    def profile(self, address: str, *, max_rows: int) -> list[RawColumn]:
        """The columns as they stand, over the first ``max_rows`` rows; lists are left out."""
        arrow = _arrow(address)
        with arrow.ParquetTable.opened(address) as table:
            paths = [path for path, kind in table.leaves.items() if arrow.is_plain(kind)]
            batch = next(table.batches(paths, max_rows), None)
            if batch is None:
                raise DataError("expected events, found no row", where=address)
            return [arrow.profile_array(path, column) for path, column in batch.items()]

    def read(self, address: str, schema: Schema, *, batch_rows: int) -> Iterator[Events]:
        """Canonical events in batches, in file order.

        Raises:
            DataError: all faults of the file by row and field, the first ones in words; nothing
                is yielded from the first fault on.
        """

        def place(row: int, path: str) -> str:
            where = f"{address}: row {row + 1}" if row >= 0 else address
            return f"{where}: {path}" if path else where

        faults = Faults(place)
        arrow = _arrow(address)
        with arrow.ParquetTable.opened(address) as table:
            check_columns(schema, table.leaves, faults, unknown="ignore")
            fields = {
                path: field
                for field in schema.fields
                if field.role != "ignored" and (path := ".".join(field.keys)) in table.leaves
            }
            for path in fields:
                if not arrow.is_plain(table.leaves[path]):
                    faults.add(-1, path, f"expected plain values, found {table.leaves[path]}")
            faults.raise_any()
            n = 0
            for arrays in table.batches(list(fields), batch_rows):
                cells = {
                    path: arrow.to_cells(arrays[path], field) for path, field in fields.items()
                }
                events = read_columns(schema, cells, faults, first_row=n)
                n += events.n
                if not faults.total:
                    yield events
            faults.raise_any()
            if n == 0:
                raise DataError("expected events, found no row", where=address)


def _arrow(address: str) -> ModuleType:
    """The module that reads Parquet, imported when a file is read.

    Raises:
        OutsideError: Arrow isn't installed.
    """
    try:
        from baluarte.adapters import parquet_tables  # noqa: PLC0415 - only who reads Parquet pays
    except ImportError as error:
        raise OutsideError(
            "reading Parquet needs pyarrow, which isn't installed",
            where=address,
            hint="pip install 'baluarte[files]'",
        ) from error
    return parquet_tables
