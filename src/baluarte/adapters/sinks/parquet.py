"""Parquet (zstd), written by Arrow batch by batch. Needs the extra ``files``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from baluarte.adapters.batches import same_columns
from baluarte.adapters.whole_file import whole_file
from baluarte.errors import OutsideError


class ParquetSink:
    """Decisions as Parquet."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    schemes: ClassVar[tuple[str, ...]] = ()

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Write all batches of columns and return the number of rows; all of it or nothing."""
        try:
            from baluarte.adapters import arrow_growing  # noqa: PLC0415 - only who writes it pays
        except ImportError as error:
            raise OutsideError(
                "writing Parquet needs pyarrow, which isn't installed",
                where=address,
                hint="pip install 'baluarte[files]'",
            ) from error
        n = 0
        with (
            whole_file(address) as aside,
            arrow_growing.GrowingTable(aside, address, "parquet") as growing,
        ):
            for columns in same_columns(batches, address):
                growing.write(columns)
                n += len(next(iter(columns.values())))
        return n
