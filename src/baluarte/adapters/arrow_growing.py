"""A Parquet or Arrow file whose types widen as batches need.

The first batch's types may be too narrow, as where no row had reasons yet. Then what was written is
copied under the wider types, so that memory stays flat. Needs the extra ``files``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from baluarte.adapters.whole_file import Aside
from baluarte.errors import DataError

_COMPRESSION = "zstd"


class GrowingTable:
    """Writes batches of columns to a file that is aside."""

    def __init__(self, aside: Aside, address: str, form: Literal["parquet", "arrow"]) -> None:
        self._aside = aside
        self._form = form
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
            if self._form == "parquet"
            else pa.ipc.new_file(file, schema)
        )
        self._schema = schema

    def _widen(self, schema: Any) -> None:
        self._open.close()
        written = self._aside.path
        with ExitStack() as opened:
            batches = self._batches(written, opened)
            self._start(schema)
            for batch in batches:
                self._writer.write_table(pa.Table.from_batches([batch]).cast(schema))

    def _batches(self, path: Path, opened: ExitStack) -> Iterator[Any]:
        if self._form == "parquet":
            found: Iterator[Any] = opened.enter_context(
                pq.ParquetFile(path, pre_buffer=False)
            ).iter_batches()
            return found
        reader = opened.enter_context(pa.ipc.open_file(opened.enter_context(pa.OSFile(str(path)))))
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
