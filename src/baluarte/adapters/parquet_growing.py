"""A Parquet file whose types widen as batches need.

The first batch's types may be too narrow, as where no row had reasons yet. Then what was written is
copied under the wider types, so that memory stays flat. Needs the extra ``files``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from baluarte.adapters.whole_file import Aside
from baluarte.errors import DataError

_COMPRESSION = "zstd"


class GrowingParquet:
    """Writes batches of columns to a file that is aside."""

    def __init__(self, aside: Aside, address: str) -> None:
        self._aside = aside
        self._address = address
        self._schema: Any = None
        self._open = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def write(self, columns: Mapping[str, Sequence[object]]) -> None:
        """Append rows, widening the file's types first where they are too narrow.

        Raises:
            DataError: no type holds all values of a column.
        """
        try:
            table = pa.table(dict(columns))
            self._fit(table.schema)
            table = table.cast(self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise DataError(
                f"expected values of one type in each column: {error}", where=self._address
            ) from error
        self._writer.write_table(table)

    def _fit(self, schema: Any) -> None:
        if self._schema is None:
            self._start(schema)
        wider = pa.unify_schemas([self._schema, schema], promote_options="permissive")
        if wider != self._schema:
            self._widen(wider)

    def _start(self, schema: Any) -> None:
        file = self._open.enter_context(self._aside.opened())
        self._writer = self._open.enter_context(
            pq.ParquetWriter(file, schema, compression=_COMPRESSION)
        )
        self._schema = schema

    def _widen(self, schema: Any) -> None:
        self._open.close()
        with pq.ParquetFile(self._aside.path) as narrow:
            self._start(schema)
            for batch in narrow.iter_batches():
                self._writer.write_table(pa.Table.from_batches([batch]).cast(schema))
