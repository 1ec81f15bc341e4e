"""CSV (RFC 4180) with a header row; a missing value is an empty cell, a list or object JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from baluarte.adapters.batches import same_columns
from baluarte.adapters.whole_file import whole_file


class CsvSink:
    """Decisions as CSV in UTF-8."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    schemes: ClassVar[tuple[str, ...]] = ()

    def write(self, address: str, batches: Iterator[Mapping[str, Sequence[object]]]) -> int:
        """Write all batches of columns and return the number of rows; all of it or nothing."""
        n = 0
        with whole_file(address) as aside, aside.opened() as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(text, lineterminator="\n")
            for columns in same_columns(batches, address):
                if n == 0:
                    writer.writerow(columns)
                cells = [_cells(values) for values in columns.values()]
                writer.writerows(zip(*cells, strict=True))
                n += len(cells[0])
            text.detach()
        return n


def _cells(values: list[Any]) -> list[Any]:
    if set(map(type, values)) <= {str, int, type(None)}:
        return values  # the writer's own forms are ours
    return [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is missing
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.json.encode(value).decode()
